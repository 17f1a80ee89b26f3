// Package durabletask holds the messages of the Durable Task protocol and its
// client service, generated from api/proto by scripts/generate.sh. Package api
// tells how the proto files came to be.
package durabletask
