package durabletask

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// ourFields are numbered from here on; the protocol does not know them.
const ourFields = 50001

// old are fields that today's protocol lacks and old clients send.
var old = map[string]bool{"OrchestrationIdReusePolicy 2": true}

// ourMessages are not in the protocol.
var ourMessages = map[string]bool{"RetryPolicy": true, "TaskCanceledEvent": true, "TimerCanceledEvent": true, "SubOrchestrationInstanceCanceledEvent": true, "LocalTaskRunEvent": true, "ExecutionCancelRequestedEvent": true, "PatchAppliedEvent": true, "UpdateRequestedEvent": true, "UpdateCompletedEvent": true, "TaskOptions": true, "EntityOperationCanceledEvent": true}

// TestFieldsAreThoseOfTheProtocol compares each message that we declare with the
// table of the protocol's fields.
func TestFieldsAreThoseOfTheProtocol(t *testing.T) {
	table, err := os.ReadFile("testdata/fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	var message string
	for line := range strings.Lines(string(table)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "  "):
			want[message] = append(want[message], strings.TrimSpace(line))
		default:
			message = line
			want[message] = nil
		}
	}
	seen := 0
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		d := mt.Descriptor()
		name := string(d.Name())
		if d.ParentFile().Package() != "reprise.durabletask.v1" || d.IsMapEntry() || ourMessages[name] {
			return true
		}
		fields, ok := want[name]
		if !ok {
			t.Errorf("message %s is not in the table", name)
			return true
		}
		seen++
		if got := describeFields(d); !equal(got, fields) {
			t.Errorf("%s:\n got %v\nwant %v", name, got, fields)
		}
		return true
	})
	if seen != len(want) {
		t.Errorf("%d messages of the table are declared, want %d", seen, len(want))
	}
}

func describeFields(d protoreflect.MessageDescriptor) []string {
	var all []string
	oneofs := map[protoreflect.Name]string{
		"event_type": "eventType",
		"request":    "request",
	}
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if f.Number() >= ourFields || old[fmt.Sprintf("%s %d", d.Name(), f.Number())] {
			continue
		}
		text := fmt.Sprintf("%d ", f.Number())
		switch {
		case f.IsMap():
			text += fmt.Sprintf("map<%s,%s>", typeName(f.MapKey()), typeName(f.MapValue()))
		case f.IsList():
			text += "repeated " + typeName(f)
		default:
			text += typeName(f)
		}
		if o := f.ContainingOneof(); o != nil {
			text += " [" + oneofs[o.Name()] + "]"
		}
		all = append(all, text)
	}
	return all
}

// typeName is the type's name in the protocol. A BytesValue is a StringValue on
// the wire.
func typeName(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.MessageKind:
		if name := string(f.Message().Name()); name != "BytesValue" {
			return name
		}
		return "StringValue"
	case protoreflect.EnumKind:
		return string(f.Enum().Name())
	}
	return f.Kind().String()
}

func equal(a, b []string) bool {
	a, b = append([]string{}, a...), append([]string{}, b...)
	sort.Strings(a)
	sort.Strings(b)
	return strings.Join(a, "\n") == strings.Join(b, "\n")
}

// TestStatusNumbers: the numbers are fixed, and Running is 0.
func TestStatusNumbers(t *testing.T) {
	for i, name := range []string{"RUNNING", "COMPLETED", "CONTINUED_AS_NEW", "FAILED", "CANCELED", "TERMINATED", "PENDING", "SUSPENDED"} {
		if got := OrchestrationStatus(i).String(); got != "ORCHESTRATION_STATUS_"+name {
			t.Errorf("status %d is %s", i, got)
		}
	}
}

// TestMethodPaths: the service has no package, and its file no descriptor.
func TestMethodPaths(t *testing.T) {
	if TaskHubSidecarService_StartInstance_FullMethodName != "/TaskHubSidecarService/StartInstance" {
		t.Errorf("path %s", TaskHubSidecarService_StartInstance_FullMethodName)
	}
	if _, err := protoregistry.GlobalFiles.FindDescriptorByName("TaskHubSidecarService"); err == nil {
		t.Error("the bare service name is registered; it would collide with another copy")
	}
}
