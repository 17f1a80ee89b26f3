// Package embedded puts a node into a program of yours: one call opens its store, finds the
// other nodes, and serves its clients.
//
//	registry := reprise.NewRegistry()
//	reprise.Bind(registry, shop.Fulfil, fulfil)
//	node, err := embedded.Start(ctx, cluster.Config{Name: "n1", DataDir: "data/n1"}, registry)
//	if err != nil {
//		return err
//	}
//	defer node.Stop(context.Background()) // others take over what it led
//
//	h, err := client.Run(ctx, node.Client(), shop.Fulfil, order)
//
// That is a cluster of one node, which survives a restart. For three, run three copies of
// the program, each with its own Name, DataDir and addresses, and all with the same
//
//	Join:            []string{"10.0.0.1:4003", "10.0.0.2:4003", "10.0.0.3:4003"}, // gossip addresses
//	BootstrapExpect: 3,
//
// Where one of the three parts should be made otherwise, say the server with a listener of
// its own, call them one by one: cluster.Start, server.New with Serve, client.Dial.
package embedded
