// Package docs is the documentation. Its test compiles the programs that the pages show.
package docs
