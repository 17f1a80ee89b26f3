package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue signs a certificate for loopback and returns the settings of who has it.
func (a *authority) issue(t *testing.T, name string) []string {
	t.Helper()
	a.sign(t, name, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return []string{"REPRISE_TLS_CERT=" + a.file(name+".crt"), "REPRISE_TLS_KEY=" + a.file(name+".key"), "REPRISE_TLS_CA=" + a.file("ca.crt")}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) sign(t *testing.T, name string, cert *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.serial++
	cert.SerialNumber, cert.Subject = big.NewInt(a.serial), pkix.Name{CommonName: name}
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, a.file(name+".crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, a.file(name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key
}

// TestSecuredCluster: three nodes with TLS among them and for clients, and gossip
// with a key. Whoever lacks one of these gets nothing.
func TestSecuredCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	key, otherKey := gossipKey(t), gossipKey(t)
	nodes := []*node{newNode(t, "n1"), newNode(t, "n2"), newNode(t, "n3")}
	join := []string{"--join", nodes[0].gossip + "," + nodes[1].gossip + "," + nodes[2].gossip, "--samples"}
	for _, n := range nodes {
		n.more = append(join, "--bootstrap-expect", "3", "--gossip-key", key)
		n.env = ours.issue(t, n.name)
		n.launch(t)
	}
	for _, n := range nodes {
		n.ready(t)
	}
	c := nodes[0].client()
	c.env = append(c.env, ours.issue(t, "client")...)
	eventually(t, "all nodes vote and lead", func() bool { return ask[description](t, c, "cluster").settled(3) })
	c.run(t, "start", "hello", "--id", "a", "--input", `["Oslo","Rome"]`, "--wait").want(t, 0, `["Hello, Oslo!","Hello, Rome!"]`+"\n")

	t.Run("clients without a right certificate", func(t *testing.T) {
		plain := nodes[0].client()
		plain.run(t, "status", "a", "--timeout", "2s").want(t, 4, "", "not reachable")
		plain.env = append(plain.env, others.issue(t, "stranger")...)
		plain.run(t, "status", "a", "--timeout", "2s").want(t, 4, "", "certificate")
		half := append(nodes[0].client().env, others.issue(t, "half")...) // trusts us, is not trusted
		half[len(half)-1] = "REPRISE_TLS_CA=" + ours.file("ca.crt")
		command{env: half}.run(t, "status", "a", "--timeout", "2s").want(t, 4, "", "not reachable")
	})
	t.Run("nodes without the key or a right certificate", func(t *testing.T) {
		for name, n := range map[string]*node{
			"other key":         {more: []string{"--gossip-key", otherKey}, env: ours.issue(t, "n4")},
			"no key":            {env: ours.issue(t, "n4")},
			"other certificate": {more: []string{"--gossip-key", key}, env: others.issue(t, "n4")},
		} {
			t.Run(name, func(t *testing.T) {
				stranger := newNode(t, "n4", append(join, n.more...)...)
				stranger.env = n.env
				stranger.launch(t)
				select {
				case line := <-stranger.first:
					t.Fatalf("it serves: %s", line)
				case <-stranger.ended:
				case <-time.After(2 * time.Second): // it tries on
				}
				for _, p := range ask[description](t, c, "cluster").Partitions {
					for _, r := range p.Replicas {
						if r.Node == "n4" {
							t.Fatalf("partition %d has a replica there", p.ID)
						}
					}
				}
			})
		}
	})

	leader := nodes[0]
	for _, p := range ask[description](t, c, "cluster").Partitions {
		for _, n := range nodes {
			if p.ID == 1 && n.name == p.Leader {
				leader = n
			}
		}
	}
	leader.kill(t)
	var alive []string
	for _, n := range nodes {
		if n != leader {
			alive = append(alive, n.api)
		}
	}
	c.run(t, "wait", "a", "--address", strings.Join(alive, ",")).want(t, 0, `["Hello, Oslo!","Hello, Rome!"]`+"\n")
	c.run(t, "start", "hello", "--input", `["Bern"]`, "--wait", "--address", strings.Join(alive, ",")).want(t, 0, `["Hello, Bern!"]`+"\n")
	leader.start(t)
}

// TestOpenAddress: with TLS and a gossip key a node may listen everywhere; with
// one of them it may not.
func TestOpenAddress(t *testing.T) {
	t.Parallel()
	ours, key := newAuthority(t), gossipKey(t)
	n := newNode(t, "n1")
	n.api = strings.Replace(n.api, "127.0.0.1", "0.0.0.0", 1)
	n.refused(t, 2, n.api+" is not loopback", "--insecure")
	n.more = []string{"--gossip-key", key}
	n.refused(t, 2, "is not loopback")
	n.more, n.env = nil, ours.issue(t, "n1")
	n.refused(t, 2, "is not loopback")
	write(t, key+".bad", "c2hvcnQ=")
	n.more = []string{"--gossip-key", key + ".bad"}
	n.refused(t, 2, "5 bytes", "16, 24 or 32")
	n.env = append(n.env, "REPRISE_TLS_CA="+key)
	n.refused(t, 2, "no certificate")
}

// gossipKey makes a key and returns the name of its file.
func gossipKey(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "gossip.key")
	write(t, file, base64.StdEncoding.EncodeToString(key)+"\n")
	return file
}
