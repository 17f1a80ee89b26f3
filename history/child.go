package history

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// ChildExecution returns the execution ID of the child that an execution decides
// with the decision of the given ID. It follows from both, so that the start of a
// child that is sent again is known to be the same start.
func ChildExecution(parent ExecutionID, decision int32) ExecutionID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d", parent, decision))
	return ExecutionID(hex.EncodeToString(sum[:16]))
}

// NextExecution returns the ID of the execution that one continues as.
func NextExecution(e ExecutionID) ExecutionID {
	sum := sha256.Sum256([]byte(e + ":next"))
	return ExecutionID(hex.EncodeToString(sum[:16]))
}

// ChildInstance returns the instance ID of a child for which none was chosen. It
// does not grow with the depth of children of children.
func ChildInstance(parent ExecutionID, decision int32) InstanceID {
	return InstanceID(fmt.Sprintf("%s:%04x", parent, decision))
}
