package server

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/partition/leader"
)

// repriseService is what the Durable Task protocol lacks.
type repriseService struct {
	reprisev1.UnimplementedRepriseServiceServer
	backend Backend
}

// DescribeCluster describes nodes and partitions.
func (s *repriseService) DescribeCluster(ctx context.Context, _ *reprisev1.DescribeClusterRequest) (*reprisev1.DescribeClusterResponse, error) {
	d, err := s.backend.Describe(ctx)
	if err != nil {
		return nil, err
	}
	m := &reprisev1.DescribeClusterResponse{ClusterId: d.ClusterID, Self: d.Self, Layout: d.Layout}
	for _, n := range d.Nodes {
		m.Nodes = append(m.Nodes, &reprisev1.Node{
			Name: n.Name, State: string(n.State), ApiAddress: n.APIAddr, PeerAddress: n.PeerAddr, GossipAddress: n.GossipAddr,
			Labels: n.Labels, Orchestrations: n.Orchestrations, Activities: n.Activities, Entities: n.Entities, Running: int64(n.Running),
			ClockAhead: durationpb.New(n.ClockAhead), ClockWrong: n.ClockWrong,
		})
	}
	for _, p := range d.Partitions {
		w := &reprisev1.Partition{Id: p.ID, Slots: slotsToWire(p.Slots), Leader: p.Leader, Preferred: p.Preferred, Epoch: p.Epoch}
		for _, r := range p.Replicas {
			w.Replicas = append(w.Replicas, &reprisev1.Replica{Node: r.Node, ServerId: r.ServerID, Voter: r.Voter, Applied: r.Applied, Reachable: r.Reachable})
		}
		m.Partitions = append(m.Partitions, w)
	}
	return m, nil
}

// GetRoutes tells where the leaders take requests.
func (s *repriseService) GetRoutes(ctx context.Context, _ *reprisev1.GetRoutesRequest) (*reprisev1.GetRoutesResponse, error) {
	d, err := s.backend.Describe(ctx)
	if err != nil {
		return nil, err
	}
	m := &reprisev1.GetRoutesResponse{}
	address := map[string]string{}
	for _, n := range d.Nodes {
		if n.State != cluster.NodeAlive || n.APIAddr == "" {
			continue
		}
		address[n.Name] = n.APIAddr
		m.Addresses = append(m.Addresses, n.APIAddr)
	}
	for _, p := range d.Partitions {
		if at := address[p.Leader]; at != "" && len(p.Slots) > 0 {
			m.Routes = append(m.Routes, &reprisev1.Route{Partition: p.ID, Slots: slotsToWire(p.Slots), Leader: p.Leader, ApiAddress: at})
		}
	}
	return m, nil
}

func slotsToWire(ranges []cluster.SlotRange) []*reprisev1.SlotRange {
	var m []*reprisev1.SlotRange
	for _, r := range ranges {
		m = append(m, &reprisev1.SlotRange{First: uint32(r.First), Last: uint32(r.Last)})
	}
	return m
}

// GetInstanceDetail tells what an instance waits for.
func (s *repriseService) GetInstanceDetail(ctx context.Context, m *reprisev1.GetInstanceDetailRequest) (*reprisev1.GetInstanceDetailResponse, error) {
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	in, err := s.backend.Status(ctx, leader.StatusRequest{Instance: ref, Payloads: m.GetPayloads()})
	switch {
	case errors.Is(err, leader.ErrNotFound):
		return &reprisev1.GetInstanceDetailResponse{}, nil
	case err != nil:
		return nil, err
	}
	return detailToWire(in, m.GetPayloads()), nil
}

// StreamHistory sends a whole history with the events that are our own.
func (s *repriseService) StreamHistory(m *durabletask.StreamInstanceHistoryRequest, out grpc.ServerStreamingServer[durabletask.HistoryChunk]) error {
	return streamHistory(s.backend, m, out, true)
}
