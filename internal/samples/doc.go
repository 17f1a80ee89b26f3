// Package samples holds the orchestrations that the reprise program can run:
// hello and wordcount. They are also an example of how contracts, code and
// bindings are laid out.
package samples
