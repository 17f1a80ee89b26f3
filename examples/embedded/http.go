package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// maxWait bounds how long a request waits for the end of an order.
const maxWait = time.Minute

// api answers the service's own requests. Any copy of the service takes any of
// them, because the client finds the node that has the order.
type api struct {
	client *client.Client
	// running ends when the service stops; then nobody waits any more.
	running context.Context
}

func (a api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", a.place)
	mux.HandleFunc("GET /orders/{id}", a.show)
	mux.HandleFunc("POST /orders/{id}/approve", a.approve)
	return mux
}

// place takes an order. It answers when the order is on the disks of a majority, and
// the rest happens by itself. Whoever chooses the ID can safely ask again.
func (a api) place(w http.ResponseWriter, r *http.Request) {
	var order Order
	if !read(w, r, &order) {
		return
	}
	if order.ID == "" {
		order.ID = rand.Text()
	}
	_, err := client.Run(r.Context(), a.client, Fulfil, order,
		client.WithID(history.InstanceID(order.ID)), client.WithReuse(client.KeepIn()))
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Location", "/orders/"+order.ID)
	answer(w, http.StatusAccepted, view{ID: order.ID})
}

// view is what people see of an order.
type view struct {
	ID     string     `json:"id"`
	Status string     `json:"status,omitempty"`
	Stands string     `json:"stands,omitempty"`
	Done   *Fulfilled `json:"done,omitempty"`
	Error  string     `json:"error,omitempty"`
}

// show tells about an order; with ?wait=10s it waits for its end so long.
func (a api) show(w http.ResponseWriter, r *http.Request) {
	id := history.InstanceID(r.PathValue("id"))
	if wait := r.FormValue("wait"); wait != "" {
		d, err := time.ParseDuration(wait)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), min(d, maxWait))
		defer cancel()
		defer context.AfterFunc(a.running, cancel)()
		if _, err := a.client.Wait(ctx, id); err != nil && ctx.Err() == nil {
			fail(w, err)
			return
		}
	}
	in, err := a.client.Status(r.Context(), id)
	if err != nil {
		fail(w, err)
		return
	}
	v := view{ID: string(in.ID), Status: in.Status.String()}
	switch {
	case in.Status == history.Completed:
		v.Done, err = reprise.DecodePayload[*Fulfilled](reprise.JSON, "how it ended", in.Output)
	case in.Status.Ended():
		v.Error = a.client.Outcome(in).Error()
	default:
		v.Stands, err = reprise.DecodePayload[string](reprise.JSON, "where it stands", in.CustomStatus)
	}
	if err != nil {
		fail(w, fmt.Errorf("read order %s: %w", in.ID, err))
		return
	}
	answer(w, http.StatusOK, v)
}

// approve says yes or no to a large order. It may come before the order asks.
func (a api) approve(w http.ResponseWriter, r *http.Request) {
	var approval Approval
	if !read(w, r, &approval) {
		return
	}
	if err := client.Raise(r.Context(), a.client, history.InstanceID(r.PathValue("id")), Approved, approval); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what) // whoever asked may be gone
}

// fail turns the client's errors into HTTP's.
func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, client.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, client.ErrRefused):
		status = http.StatusBadRequest
	case errors.Is(err, client.ErrUnavailable):
		status = http.StatusServiceUnavailable // ask again, here or elsewhere
	}
	http.Error(w, err.Error(), status)
}
