package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// fromEnvironment sets each flag that the command line left out from its variable
// REPRISE_<FLAG>, with _ for -.
func fromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		value, ok := os.LookupEnv(variable(f.Name))
		if !ok || f.Changed || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, usage("environment variable %s: %v", variable(f.Name), err))
		}
	})
	return errors.Join(errs...)
}

func variable(flag string) string {
	return "REPRISE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromFile sets each flag that is not set yet from a YAML file whose keys are the
// names of flags. A key that is no flag is an error.
func fromFile(flags *pflag.FlagSet, name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return usage("read the configuration: %w", err)
	}
	var settings map[string]yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&settings); err != nil && !errors.Is(err, io.EOF) {
		return usage("configuration %s: %v", name, err)
	}
	var errs []error
	for key, node := range settings {
		f := flags.Lookup(key)
		if f == nil || f.Hidden || key == "config" || key == "help" {
			errs = append(errs, usage("configuration %s, line %d: there is no setting %q", name, node.Line, key))
			continue
		}
		if f.Changed {
			continue
		}
		value, err := settingText(node)
		if err == nil {
			err = flags.Set(key, value)
		}
		if err != nil {
			errs = append(errs, usage("configuration %s, line %d: %s: %v", name, node.Line, key, err))
		}
	}
	return errors.Join(errs...)
}

// settingText is the text of a scalar, or of a list with commas.
func settingText(node yaml.Node) (string, error) {
	var items []string
	switch node.Kind {
	case yaml.ScalarNode:
		return node.Value, nil
	case yaml.SequenceNode:
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("a list must hold plain values")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	}
	return "", fmt.Errorf("must be a plain value or a list")
}
