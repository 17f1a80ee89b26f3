package cluster

import "errors"

// Errors of [Start] and [Recover], and causes given to [Config].OnFatal. The wrapping error
// says what was found where, and what to do.
var (
	// ErrConfig: the configuration makes no sense or is not safe.
	ErrConfig = errors.New("invalid configuration")
	// ErrPortInUse: another program listens on one of the node's addresses.
	ErrPortInUse = errors.New("address already in use")
	// ErrLocked: another process uses the data directory.
	ErrLocked = errors.New("data directory is in use by another process")
	// ErrNotWritable: the data directory cannot be written to.
	ErrNotWritable = errors.New("data directory is not writable")
	// ErrNewerFormat: a newer version of the program wrote the data directory.
	ErrNewerFormat = errors.New("data directory has a newer format")
	// ErrCorrupt: a file of the data directory is damaged.
	ErrCorrupt = errors.New("data directory is damaged")
	// ErrOtherCluster: the data, or a peer, belongs to another cluster.
	ErrOtherCluster = errors.New("belongs to another cluster")
	// ErrOtherNode: the data directory belongs to a node of another name.
	ErrOtherNode = errors.New("data directory belongs to another node")
	// ErrRecoveryRefused: of [Recover]: a group needs no recovery, or not this one.
	ErrRecoveryRefused = errors.New("recovery refused")
)

// ErrUnavailable: the request found no leader in time, or its outcome is unknown
// and it is not safe to repeat. The wrapped error is the last one that was met.
var ErrUnavailable = errors.New("cluster cannot answer now")
