package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/reprise-run/reprise"
)

func TestHTTPSettings(t *testing.T) {
	for _, c := range []struct {
		allow, private []string
		bound          bool
		says           string
	}{
		{nil, nil, false, ""},
		{[]string{"api.example.com", "*.example.net:443"}, []string{"10.0.0.0/8"}, true, ""},
		{nil, []string{"10.0.0.0/8"}, false, "--http-allow"},
		{[]string{"https://api.example.com"}, nil, false, "no host"},
		{[]string{"*"}, []string{"*"}, false, "AllowPrivate"},
	} {
		r := reprise.NewRegistry()
		err := (&httpSettings{c.allow, c.private}).bind(r)
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || exitCode(err) != exitUsage) {
			t.Errorf("%v: %v", c, err)
		}
		if bound := slices.Contains(r.Activities(), "reprise.http"); bound != c.bound {
			t.Errorf("%v: bound %v", c, bound)
		}
	}
}
