package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// tlsFiles are PEM files for mutual TLS; all of them or none are given.
type tlsFiles struct{ cert, key, ca string }

func (t *tlsFiles) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.cert, "tls-cert", "", "certificate, a PEM `file`")
	f.StringVar(&t.key, "tls-key", "", "the certificate's private key, a PEM `file`")
	f.StringVar(&t.ca, "tls-ca", "", "certificates of the authority that the other side must show, a PEM `file`")
}

// load returns a configuration for either side, or nil where no files are given.
func (t *tlsFiles) load() (*tls.Config, error) {
	if t.cert == "" && t.key == "" && t.ca == "" {
		return nil, nil
	}
	if t.cert == "" || t.key == "" || t.ca == "" {
		return nil, usage("TLS needs all of --tls-cert, --tls-key and --tls-ca")
	}
	pair, err := tls.LoadX509KeyPair(t.cert, t.key)
	if err != nil {
		return nil, usage("load the TLS certificate: %w", err)
	}
	pem, err := os.ReadFile(t.ca)
	if err != nil {
		return nil, usage("read the TLS authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &usageError{fmt.Errorf("%s holds no certificate in PEM form", t.ca)}
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13,
	}, nil
}
