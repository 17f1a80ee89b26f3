package history

// MaxPayloadBytes is the largest payload that is accepted: input, output, custom
// status.
const MaxPayloadBytes = 16 << 20
