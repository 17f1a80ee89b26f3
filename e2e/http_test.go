package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A node calls what its flags allow, for whoever starts reprise.http.call.
func TestHTTPCalls(t *testing.T) {
	t.Parallel()
	endpoint := func() (host string) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s", r.Method, r.URL)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	open, private := endpoint(), endpoint()
	n := newNode(t, "n1", "--http-allow", open+","+private, "--http-allow-private", open)
	n.start(t)
	call := func(host string) outcome {
		return n.client().run(t, "start", "reprise.http.call", "--input", fmt.Sprintf(`{"Method":"PUT","URL":"http://%s/a?b"}`, host), "--wait")
	}
	if o := call(open); o.code != 0 || !strings.Contains(o.stdout, `"Body":"PUT /a?b"`) || !strings.Contains(o.stdout, `"Status":200`) {
		t.Errorf("%+v", o)
	}
	call(private).want(t, 1, "", private+" is refused: its address 127.0.0.1 is loopback", "--http-allow-private")
	call("elsewhere.example").want(t, 1, "", "elsewhere.example is refused: the host is not allowed", "--http-allow")
}
