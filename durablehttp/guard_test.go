package durablehttp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/reprise-run/reprise"
)

// get calls a URL once and returns how it went.
func get(t *testing.T, cfg Config, r Request) (resp Response, err error) {
	t.Helper()
	r.Retry.Attempts = 1
	play(t, cfg, func(o *reprise.Orchestration) error {
		resp, err = Call(o, r)
		return nil
	})
	return resp, err
}

func wantRefusal(t *testing.T, what string, err error, says ...string) {
	t.Helper()
	var refused *RefusedError
	if !errors.As(err, &refused) || !reprise.IsNonRetryable(err) {
		t.Errorf("%s: %v; want a refusal", what, err)
		return
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v; want %q", what, err, text)
		}
	}
}

func TestAllowedHosts(t *testing.T) {
	for _, c := range []struct {
		allowed string
		yes, no string
	}{
		{"api.example.com", "https://api.example.com http://API.example.com.:8080", "https://example.com https://xapi.example.com https://api.example.com.evil.net https://1.1.1.1"},
		{"API.example.com:8443", "https://api.example.com:8443", "https://api.example.com http://api.example.com:443"},
		{"api.example.com:443", "https://api.example.com", "http://api.example.com"},
		{"*.example.com", "https://a.example.com https://a.b.example.com", "https://example.com https://aexample.com https://a.example.com.net"},
		{"*.example.com:80", "http://a.example.com", "https://a.example.com"},
		{"*", "https://a https://1.1.1.1:7 http://[2606:4700::1]", ""},
		{"1.1.1.0/24", "https://1.1.1.9 https://[::ffff:1.1.1.9]:5", "https://1.1.2.1 https://a https://0x01010109"},
		{"1.1.1.1:443", "https://1.1.1.1", "http://1.1.1.1"},
		{"2606:4700::1", "https://[2606:4700::1]:8 https://[2606:4700:0::1]", "https://[2606:4700::2]"},
		{"[2606:4700::1]:443", "https://[2606:4700::1]", "http://[2606:4700::1]"},
		{"[2606:4700::1]", "http://[2606:4700::1]", "http://[2606:4700::3]"},
		{"::ffff:1.1.1.1", "http://1.1.1.1", "http://1.1.1.2"},
	} {
		g, err := newGuard(Config{AllowedHosts: []string{"other.example", c.allowed}})
		if err != nil {
			t.Errorf("%s: %v", c.allowed, err)
			continue
		}
		for text := range strings.FieldsSeq(c.yes + " - " + c.no) {
			u, err := url.Parse(text)
			if err != nil || text == "-" {
				continue
			}
			if err := g.checkURL(u); (err == nil) != slices.Contains(strings.Fields(c.yes), text) {
				t.Errorf("%s, %s: %v", c.allowed, text, err)
			}
		}
	}
}

// A credential goes over https, or to the port that its entry names.
func TestCredentialHosts(t *testing.T) {
	sender, err := newSender(Config{AllowedHosts: []string{"*"}, TokenSources: map[string]TokenSource{
		"t": Bearer(nil, "a.example", "*.b.example", "c.example:80", "10.0.0.0/8", "1.1.1.1:8080"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"https://a.example": true, "https://A.example.:8443": true, "http://a.example": false, "https://x.a.example": false,
		"https://x.b.example": true, "http://x.b.example": false, "http://c.example": true, "https://c.example": false,
		"https://10.1.1.1": true, "http://10.1.1.1": false, "http://1.1.1.1:8080": true, "https://1.1.1.1": false,
	} {
		u, err := url.Parse(text)
		if got := sender.sources["t"].isFor(u); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestWrongConfig(t *testing.T) {
	hosts := []string{"a"}
	for _, c := range []struct {
		cfg  Config
		says string
	}{
		{Config{}, "AllowedHosts is empty"},
		{Config{AllowedHosts: []string{"a", ""}}, `AllowedHosts: "": it is no host`},
		{Config{AllowedHosts: []string{"https://a"}}, "no host"},
		{Config{AllowedHosts: []string{"a/b"}}, "no host"},
		{Config{AllowedHosts: []string{"a*b"}}, "no host"},
		{Config{AllowedHosts: []string{"*a"}}, "no host"},
		{Config{AllowedHosts: []string{"*."}}, "no host"},
		{Config{AllowedHosts: []string{"bücher.example"}}, "no host"},
		{Config{AllowedHosts: []string{"a:"}}, "no host"},
		{Config{AllowedHosts: []string{"a:0"}}, "no host"},
		{Config{AllowedHosts: []string{"a:http"}}, "no host"},
		{Config{AllowedHosts: []string{"a:65536"}}, "no host"},
		{Config{AllowedHosts: []string{"::ffff:10.0.0.0/104"}}, "IPv4"},
		{Config{AllowedHosts: hosts, AllowPrivate: []string{"*"}}, `AllowPrivate: "*": name addresses`},
		{Config{AllowedHosts: hosts, AllowPrivate: []string{"*.internal"}}, "name addresses"},
		{Config{AllowedHosts: hosts, AllowPrivate: []string{"10.0.0.0/33"}}, "no host"},
		{Config{AllowedHosts: hosts, MaxBodyBytes: -1}, "MaxBodyBytes"},
		{Config{AllowedHosts: hosts, MaxBodyBytes: LargestMaxBodyBytes + 1}, "MaxBodyBytes"},
		{Config{AllowedHosts: hosts, TokenSources: map[string]TokenSource{"a": {Hosts: hosts}}}, `token source "a": it needs`},
		{Config{AllowedHosts: hosts, TokenSources: map[string]TokenSource{"": Bearer(nil, "a")}}, "name"},
		{Config{AllowedHosts: hosts, TokenSources: map[string]TokenSource{"a": Bearer(nil)}}, "hosts"},
		{Config{AllowedHosts: hosts, TokenSources: map[string]TokenSource{"a": Bearer(nil, "https://a")}}, "Hosts"},
		{Config{AllowedHosts: hosts, Proxy: &url.URL{Host: "a"}}, "proxy"},
	} {
		err := Bind(reprise.NewRegistry(), c.cfg)
		if err == nil || !strings.HasPrefix(err.Error(), "bind durable HTTP: ") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v; want %q", c.cfg, err, c.says)
		}
	}
}

func TestSpecialAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"0.0.0.0": "unspecified", "10.1.2.3": "private", "100.64.0.1": "carrier", "100.127.255.255": "carrier", "127.0.0.1": "loopback",
		"127.255.0.9": "loopback", "168.63.129.16": "metadata", "169.254.169.254": "link-local", "172.16.0.1": "private", "172.31.9.9": "private",
		"192.0.0.170": "reserved", "192.0.2.1": "documentation", "192.168.7.7": "private", "198.19.0.1": "benchmarks", "224.0.0.1": "multicast",
		"239.255.255.250": "multicast", "240.0.0.1": "reserved", "255.255.255.255": "broadcast",
		"::": "unspecified", "::1": "loopback", "::ffff:127.0.0.1": "loopback", "::ffff:169.254.169.254": "link-local", "::ffff:10.0.0.1": "private",
		"::127.0.0.1": "reserved", "64:ff9b::a9fe:a9fe": "NAT64", "64:ff9b:1::1": "NAT64", "2002:7f00:1::": "6to4", "2001::1": "Teredo",
		"fd00:ec2::254": "unique local", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "fec0::1": "reserved", "ff02::1": "multicast",
		"2001:db8::1": "documentation", "100::1": "reserved", "4000::1": "reserved",
		"1.1.1.1": "", "8.8.8.8": "", "100.63.0.1": "", "100.128.0.1": "", "172.15.0.1": "", "172.32.0.1": "", "169.253.1.1": "", "223.255.255.1": "",
		"::ffff:1.1.1.1": "", "2606:4700::1": "", "2a00:1450::1": "",
	} {
		got := special(netip.MustParseAddr(text))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

// Hosts and addresses that are not allowed get no connection, in any spelling.
func TestRefused(t *testing.T) {
	var connections atomic.Int64
	s := unstarted(t, status(200, "secret"))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	port := s.Listener.Addr().(*net.TCPAddr).Port
	everything := Config{AllowedHosts: []string{"*"}}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		at := (&url.URL{Scheme: "http", Host: strings.Replace(s.Listener.Addr().String(), "127.0.0.1", host, 1)}).String()
		_, err := get(t, everything, Request{URL: at})
		wantRefusal(t, at, err, strings.ToLower(host[:1]), "Config.AllowPrivate", "--http-allow-private")
		_, err = get(t, Config{AllowedHosts: []string{"a.example"}, AllowPrivate: []string{"0.0.0.0/0"}}, Request{URL: at})
		wantRefusal(t, at, err, "Config.AllowedHosts", "--http-allow")
	}
	for _, at := range []string{"http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://[::1]:1/", "http://10.0.0.1", "http://100.100.100.200"} {
		_, err := get(t, everything, Request{URL: at})
		wantRefusal(t, at, err, "Config.AllowPrivate")
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections to port %d", n, port)
	}
	for _, private := range []string{"127.0.0.0/8", "127.0.0.1", s.Listener.Addr().String(), "localhost"} {
		at := "http://localhost:" + s.URL[strings.LastIndex(s.URL, ":")+1:]
		if _, err := get(t, Config{AllowedHosts: []string{"localhost"}, AllowPrivate: []string{private, "::1"}, Resolver: names(t, "127.0.0.1")}, Request{URL: at}); err != nil {
			t.Errorf("%s is allowed: %v", private, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	target := serve(t, status(200, "there"))
	to := func(at string) answer { return status(307, "", "Location", at) }
	redirect := func(to string) *endpoint { return serve(t, status(307, "", "Location", to)) }

	s := redirect(target.URL)
	if resp, err := get(t, key(allowed(s, target), s), Request{
		Method: "POST", URL: s.URL + "/?secret", Body: Body("b"), TokenSource: "key", Header: http.Header{"X-A": {"a"}, "Content-Type": {"text/plain"}},
	}); err != nil || string(resp.Body) != "there" || resp.URL != target.URL {
		t.Errorf("%+v, %v", resp, err)
	}
	got := target.got()[0]
	if got.body != "b" || got.Header.Get("Content-Type") != "text/plain" || got.Header.Get("Idempotency-Key") == "" {
		t.Errorf("%q %v", got.body, got.Header)
	}
	for _, name := range []string{"X-A", "X-Api-Key", "Referer", "Authorization"} {
		if got.Header.Get(name) != "" {
			t.Errorf("another host gets %s: %v", name, got.Header)
		}
	}
	if _, err := get(t, key(allowed(s, target), s, target), Request{URL: s.URL, TokenSource: "key"}); err != nil || target.got()[1].Header.Get("X-Api-Key") != "secret" {
		t.Errorf("a trusted host: %v", err)
	}

	// What speaks of a body goes where the body goes.
	see := serve(t, to("/next"), status(303, "", "Location", "/end"), status(200, ""))
	post := Request{Method: "POST", URL: see.URL, Body: Body("b"), Header: http.Header{"Content-Type": {"text/plain"}, "X-A": {"a"}}, TokenSource: "key"}
	if _, err := get(t, key(allowed(see), see), post); err != nil {
		t.Error(err)
	}
	for i, want := range []string{"POST b text/plain a secret", "POST b text/plain a secret", "GET   a secret"} {
		r := see.got()[i]
		if got := strings.Join([]string{r.Method, r.body, r.Header.Get("Content-Type"), r.Header.Get("X-A"), r.Header.Get("X-Api-Key")}, " "); got != want {
			t.Errorf("request %d: %s; want %s", i, got, want)
		}
	}

	_, err := get(t, allowed(s), Request{URL: s.URL})
	wantRefusal(t, "a host that is not allowed", err, target.Listener.Addr().String(), "Config.AllowedHosts")
	open := Config{AllowedHosts: []string{"*"}, AllowPrivate: []string{s.Listener.Addr().String()}}
	_, err = get(t, open, Request{URL: s.URL})
	wantRefusal(t, "an address that is not allowed", err, target.Listener.Addr().String(), "loopback", "Config.AllowPrivate")
	for _, at := range []string{"http://169.254.169.254/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "gopher://a"} {
		s := redirect(at)
		open.AllowPrivate = []string{s.Listener.Addr().String()}
		_, err := get(t, open, Request{URL: s.URL})
		wantRefusal(t, at, err)
	}
	loop := serve(t, to("/"))
	_, err = get(t, allowed(loop), Request{URL: loop.URL})
	wantRefusal(t, "a loop", err, "more than 10 redirects")
	if n := len(loop.got()); n != maxRedirects+1 {
		t.Errorf("%d requests", n)
	}
	if resp, err := get(t, allowed(loop), Request{URL: loop.URL, NoRedirects: true}); err != nil || resp.Status != 307 {
		t.Errorf("without redirects: %v, %v", resp.Status, err)
	}
}

// A host whose name leads to another address the second time is checked again: the
// address that is dialed is the one that counts.
func TestRebinding(t *testing.T) {
	s := serve(t, status(503, "", "Connection", "close"), status(200, "private"))
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	cfg := Config{
		AllowedHosts: []string{"rebind.example"}, AllowPrivate: []string{"127.0.0.1:" + port},
		Resolver: names(t, "127.0.0.1", "127.0.0.2"),
	}
	at := "http://rebind.example:" + port
	var resp Response
	var err error
	play(t, cfg, func(o *reprise.Orchestration) error {
		resp, err = Call(o, Request{URL: at})
		return nil
	})
	wantRefusal(t, "the second address", err, "rebind.example:"+port, "127.0.0.2")
	if n := len(s.got()); n != 1 || resp.Status != 0 {
		t.Errorf("%d requests, %+v", n, resp)
	}
	cfg.Resolver, cfg.AllowPrivate = names(t, "127.0.0.2", "127.0.0.1"), []string{"rebind.example:" + port}
	if g, _ := newGuard(cfg); g.checkAddress("rebind.example", port, netip.MustParseAddr("127.0.0.2")) != nil || g.checkAddress("other.example", port, netip.MustParseAddr("127.0.0.2")) == nil {
		t.Error("a host that may have private addresses, and another one")
	}
}

// Proxies of the environment are not heeded; one that is configured gets everything.
func TestProxy(t *testing.T) {
	proxy := serve(t, status(200, "by proxy"))
	s := serve(t, status(200, "direct"))
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("ALL_PROXY", proxy.URL)
	if resp, err := get(t, allowed(s), Request{URL: s.URL}); err != nil || string(resp.Body) != "direct" {
		t.Errorf("%s, %v", resp.Body, err)
	}
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{AllowedHosts: []string{"far.example", "10.0.0.1"}, Proxy: at}
	if resp, err := get(t, cfg, Request{URL: "http://far.example/a"}); err != nil || string(resp.Body) != "by proxy" {
		t.Errorf("%s, %v", resp.Body, err)
	}
	_, err = get(t, cfg, Request{URL: "http://near.example/"})
	wantRefusal(t, "a host that is not allowed", err, "near.example")
	_, err = get(t, cfg, Request{URL: "http://10.0.0.1/"})
	wantRefusal(t, "a private address", err, "private")
	if n := len(proxy.got()); n != 1 {
		t.Errorf("the proxy got %d requests", n)
	}
}

// names is a resolver for which every host has the first address, then the second,
// and so on, and the last one from then on. It speaks just enough DNS.
func names(t *testing.T, addresses ...string) *net.Resolver {
	var asked atomic.Int64
	answer := func(conn net.Conn) {
		defer conn.Close()
		var length [2]byte
		for {
			if _, err := io.ReadFull(conn, length[:]); err != nil {
				return
			}
			query := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, query); err != nil {
				return
			}
			end := 12 // of the question's name
			for query[end] != 0 {
				end += int(query[end]) + 1
			}
			reply := append([]byte{}, query[:end+5]...)
			reply[2], reply[3] = 0x81, 0x80 // an answer without error
			for i := 6; i < 12; i++ {
				reply[i] = 0 // counts of the other sections
			}
			if binary.BigEndian.Uint16(query[end+1:]) == 1 { // type A
				n := int(asked.Add(1)) - 1
				ip := netip.MustParseAddr(addresses[min(n, len(addresses)-1)]).As4()
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				reply = append(reply, ip[:]...)
			}
			if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
				return
			}
		}
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go answer(ours)
		return theirs, nil
	}}
}
