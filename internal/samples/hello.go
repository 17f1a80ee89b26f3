package samples

import (
	"context"

	reprise "github.com/reprise-run/reprise"
)

// Hello greets a list of names, one after the other.
var Hello = reprise.NewOrchestration[[]string, []string]("hello")

// Greet greets one name.
var Greet = reprise.NewActivity[string, string]("hello.greet")

func hello(o *reprise.Orchestration, names []string) ([]string, error) {
	greetings := make([]string, 0, len(names))
	for _, name := range names {
		greeting, err := Greet.Call(o, name)
		if err != nil {
			return nil, err
		}
		greetings = append(greetings, greeting)
	}
	return greetings, nil
}

func greet(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }
