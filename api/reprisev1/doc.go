// Package reprisev1 holds the service for what the Durable Task protocol lacks,
// generated from api/proto by scripts/generate.sh.
package reprisev1
