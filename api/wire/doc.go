// Package wire is the one room where the words of history meet their wire form:
// events, failures and payloads, both ways. The server and the client use it.
//
// What the wire form has and history has not is kept in Extra and put back, and
// the other way round nothing is lost between two programs of ours: fields from
// 50001 on carry what the Durable Task protocol has no place for.
package wire
