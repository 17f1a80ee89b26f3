// Command embedded is a whole service with durable orchestrations in it: it takes
// orders over HTTP, and three copies of it are the cluster. There is no other
// server and no database.
//
// README.md has the commands. orders.go is what the service does, http.go how it is
// asked, payments.go the world outside, and main.go puts them together with a node.
package main
