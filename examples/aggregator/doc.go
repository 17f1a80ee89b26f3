// Command aggregator shows an entity that gathers what others report.
//
//	go run ./examples/aggregator
//
// Sensors signal their readings to the entity of their city. It keeps count, sum and
// extremes, and at every hundredth reading it starts an orchestration that publishes
// them: an operation computes, and what touches the world is an activity. Reading it
// waits for nobody.
package main
