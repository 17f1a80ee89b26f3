package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise/partition/leader"
)

func TestConfig(t *testing.T) {
	good := Config{Name: "a", DataDir: "d", PeerAddr: "127.0.0.1:1", GossipAddr: "localhost:2", APIAddr: "[::1]:3"}
	cases := []struct {
		name   string
		change func(*Config)
		ok     bool
	}{
		{"loopback", func(*Config) {}, true},
		{"no name", func(c *Config) { c.Name = "" }, false},
		{"strange name", func(c *Config) { c.Name = "a@b" }, false},
		{"no directory", func(c *Config) { c.DataDir = "" }, false},
		{"no peer address", func(c *Config) { c.PeerAddr = "" }, false},
		{"no port", func(c *Config) { c.GossipAddr = "127.0.0.1" }, false},
		{"open", func(c *Config) { c.PeerAddr = "0.0.0.0:1" }, false},
		{"open API", func(c *Config) { c.APIAddr = ":1" }, false},
		{"open and insecure", func(c *Config) { c.PeerAddr, c.Insecure = "0.0.0.0:1", true }, true},
		{"open, only TLS", func(c *Config) { c.PeerAddr, c.TLSCert, c.TLSKey, c.TLSCA = "10.0.0.1:1", "c", "k", "a" }, false},
		{"open and safe", func(c *Config) {
			c.PeerAddr, c.TLSCert, c.TLSKey, c.TLSCA, c.GossipKey = "10.0.0.1:1", "c", "k", "a", make([]byte, 32)
		}, true},
		{"half of TLS", func(c *Config) { c.TLSCert = "c" }, false},
		{"short gossip key", func(c *Config) { c.GossipKey = make([]byte, 5) }, false},
		{"labels", func(c *Config) { c.Labels = map[string]string{"gpu": "true", "zone": ""} }, true},
		{"a label with a comma", func(c *Config) { c.Labels = map[string]string{"gpu": "a,b"} }, false},
		{"too many partitions", func(c *Config) { c.Partitions = MaxPartitions + 1 }, false},
	}
	for _, c := range cases {
		cfg := good
		c.change(&cfg)
		if _, err := cfg.withDefaults(); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestCodes(t *testing.T) {
	seen := make(map[Code]bool)
	for _, c := range codes {
		if seen[c.code] || c.code <= CodeOther || c.code == codeRedirect || c.code == codeExpired {
			t.Errorf("code %d is used twice", c.code)
		}
		seen[c.code] = true
		_, err := decodeAnswer(encodeAnswer(nil, c.err))
		if !errors.Is(err, c.err) || err.Error() != c.err.Error() {
			t.Errorf("%v came back as %v", c.err, err)
		}
	}
	var redirect *redirectError
	if _, err := decodeAnswer(encodeAnswer(nil, &redirectError{"b"})); !errors.As(err, &redirect) || redirect.to != "b" || !errors.Is(err, errNotHere) {
		t.Errorf("redirect came back as %v", err)
	}
	var expired *leader.ExpiredError
	clock := time.Unix(1, 2).UTC()
	if _, err := decodeAnswer(encodeAnswer(nil, fmt.Errorf("x: %w", &leader.ExpiredError{Clock: clock}))); !errors.As(err, &expired) || !expired.Clock.Equal(clock) || !errors.Is(err, leader.ErrRequestExpired) {
		t.Errorf("a refusal as too old came back as %v", err)
	}
}
