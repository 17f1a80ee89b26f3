// Package durablehttp calls HTTP endpoints from orchestrators as one awaited step.
//
//	resp, err := durablehttp.Call(o, durablehttp.Request{
//		Method: "POST", URL: "https://jobs.example.com/v1/jobs", Body: job, TokenSource: "jobs",
//	})
//
// The request is an activity, so it is sent at least once and its response is
// recorded exactly once. What waits are durable timers: between attempts after a
// status such as 503, and between polls after 202 with a Location, for as long as
// the operation takes. docs/durable-http.md tells the rules.
//
// The settings are in two hands. A [Request] says what is decided: it is part of
// the orchestrator, the same on every replay, and is kept in the history, secrets
// excepted. A [Config] says what a node lets out: which hosts, which addresses,
// with what certificates and credentials. It is checked where the connection is
// made, by the address that is dialed, so that neither a redirect nor DNS gets
// round it. Nothing is allowed that the configuration does not name.
//
//	err := durablehttp.Bind(registry, durablehttp.Config{
//		AllowedHosts: []string{"jobs.example.com"},
//		TokenSources: map[string]durablehttp.TokenSource{"jobs": durablehttp.Bearer(jobsToken, "jobs.example.com")},,
//	})
package durablehttp
