package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
	"github.com/reprise-run/reprise/partition/leader"
)

// bankAccounts is how many accounts the bank has: few, so that sections wait for each
// other.
const bankAccounts = 5

// payment moves money between two accounts in one critical section. Spoiled payments
// also try an operation that fails after it has changed the state.
type payment struct {
	From, To int
	Amount   int64
	Spoiled  bool
}

// visit holds some accounts for a while and changes nothing: it may be terminated, or
// replaced, at any moment.
type visit struct {
	Accounts []int
	Nap      time.Duration
	// Audit sums all accounts up.
	Audit bool
}

var (
	account = reprise.NewEntity[int64]("sim.account")
	move    = reprise.NewOperation[int64, int64](account, "move")
	spoil   = reprise.NewOperation[int64, int64](account, "spoil")
	look    = reprise.NewOperation[reprise.None, int64](account, "look")
	counter = reprise.NewEntity[int64]("sim.counter")
	count   = reprise.NewOperation[int64, int64](counter, "count")

	pay   = reprise.NewOrchestration[payment, int64]("sim.pay")
	stand = reprise.NewOrchestration[visit, int64]("sim.stand")

	errSpoiled = reprise.NewError("sim.spoiled", "this operation fails")
)

func accountOf(n int) reprise.EntityRef[int64] { return account.Key(fmt.Sprint(n)) }

func lockOf(accounts []int) reprise.LockSet {
	var refs []reprise.EntityReference
	for _, n := range accounts {
		refs = append(refs, accountOf(n))
	}
	return reprise.Lock(refs...)
}

func runPayment(o *reprise.Orchestration, p payment) (int64, error) {
	from, to := accountOf(p.From), accountOf(p.To)
	return p.Amount, reprise.Critical(o, reprise.Lock(from, to), func(s *reprise.Section) error {
		before, err := reprise.Do(s, from, look, reprise.None{})
		if err != nil {
			return err
		}
		if p.Spoiled {
			if _, err := reprise.Do(s, to, spoil, p.Amount); !errors.Is(err, errSpoiled) {
				return fmt.Errorf("an operation that fails returned %w", err)
			}
		}
		after, err := reprise.Do(s, from, move, -p.Amount)
		if err != nil {
			return err
		}
		if after != before-p.Amount {
			return fmt.Errorf("account %d had %d and has %d after %d was taken, inside one section", p.From, before, after, p.Amount)
		}
		_, err = reprise.Do(s, to, move, p.Amount)
		return err
	})
}

func runVisit(o *reprise.Orchestration, v visit) (sum int64, err error) {
	return sum, reprise.Critical(o, lockOf(v.Accounts), func(s *reprise.Section) error {
		balances := func() (all []int64, err error) {
			for _, n := range v.Accounts {
				balance, err := reprise.Do(s, accountOf(n), look, reprise.None{})
				if err != nil {
					return nil, err
				}
				all = append(all, balance)
			}
			return all, nil
		}
		first, err := balances()
		if err != nil {
			return err
		}
		o.Sleep(v.Nap)
		second, err := balances()
		if err != nil {
			return err
		}
		if !slices.Equal(first, second) {
			return fmt.Errorf("accounts %v were %v and are %v, inside one section", v.Accounts, first, second)
		}
		for _, balance := range second {
			sum += balance
		}
		return nil
	})
}

// bindBank binds what the bank runs.
func bindBank(r *reprise.Registry) {
	reprise.Bind(r, move, func(_ *reprise.EntityContext, balance *int64, by int64) (int64, error) {
		*balance += by
		return *balance, nil
	})
	reprise.Bind(r, spoil, func(_ *reprise.EntityContext, balance *int64, by int64) (int64, error) {
		*balance += by
		return 0, errSpoiled
	})
	reprise.Bind(r, look, func(_ *reprise.EntityContext, balance *int64, _ reprise.None) (int64, error) { return *balance, nil })
	reprise.Bind(r, count, func(_ *reprise.EntityContext, n *int64, by int64) (int64, error) {
		*n += by
		if by > 1 {
			return 0, errSpoiled
		}
		return *n, nil
	})
	reprise.Bind(r, pay, runPayment)
	reprise.Bind(r, stand, runVisit)
}

// banking is an orchestration of the bank whose start was acknowledged, and that nobody
// terminates.
type banking struct {
	ref  leader.InstanceRef
	want int64
}

// counting is a counter of one client.
type counting struct {
	// least is how many additions were acknowledged, most how many may have been made.
	least, most int64
}

// bank makes a request to the bank.
func (c *client) bank(ctx context.Context) {
	switch c.rng.IntN(4) {
	case 0:
		c.count()
	case 1, 2:
		p := payment{From: c.rng.IntN(bankAccounts), Amount: c.rng.Int64N(1000), Spoiled: c.rng.IntN(4) == 0}
		p.To = (p.From + 1 + c.rng.IntN(bankAccounts-1)) % bankAccounts
		if ref, ok := c.startBanking("pay-", pay.Name(), p); ok {
			c.mu.Lock()
			c.banked = append(c.banked, banking{ref, p.Amount})
			c.mu.Unlock()
		}
	default:
		c.visit(ctx)
	}
}

// visit starts a visit to some accounts and terminates it, mostly in the middle, or lets
// it sum all accounts up.
func (c *client) visit(ctx context.Context) {
	v := visit{Accounts: c.rng.Perm(bankAccounts), Nap: time.Duration(c.rng.IntN(2000)) * time.Millisecond, Audit: c.rng.IntN(2) == 0}
	if !v.Audit {
		v.Accounts = v.Accounts[:1+c.rng.IntN(3)]
	}
	ref, ok := c.startBanking("stand-", stand.Name(), v)
	switch {
	case v.Audit && ok:
		c.mu.Lock()
		c.banked = append(c.banked, banking{ref, 0})
		c.mu.Unlock()
	case !v.Audit:
		pause(ctx, time.Duration(c.rng.IntN(1500))*time.Millisecond)
		end := leader.TerminateRequest{Instance: ref, Recurse: c.rng.IntN(2) == 0, Identity: c.identity()}
		_, _ = c.ask(&end.Identity, func(ctx context.Context, node caller) error { return node.Terminate(ctx, end) })
	}
}

// startBanking starts an orchestration of the bank; ok is false where it is not known
// whether it runs.
func (c *client) startBanking(prefix, name string, input any) (ref leader.InstanceRef, ok bool) {
	data, err := json.Marshal(input)
	if err != nil {
		panic(err)
	}
	identity := c.identity()
	req := leader.StartRequest{
		Instance:  leader.InstanceRef{Hub: "sim", ID: history.InstanceID(prefix + identity.ID)},
		Execution: c.newExecution(), Name: name, Input: data, Identity: identity,
	}
	err, _ = c.ask(&req.Identity, func(ctx context.Context, node caller) error {
		req.Execution = tried(req.Execution)
		_, err := node.StartInstance(ctx, req)
		return err
	})
	return req.Instance, err == nil
}

// counterOf is the counter of a client. A counter's additions come from one client only,
// so that it can be told how many there are.
func counterOf(number int) leader.InstanceRef {
	return leader.InstanceRef{Hub: "sim", ID: counter.Key(fmt.Sprint(number)).ID()}
}

// count adds one to the client's counter, at once or later; some operations fail after
// they have changed the state.
func (c *client) count() {
	req := leader.SignalRequest{Entity: counterOf(c.number), Operation: count.Name(), Input: history.Payload("1"), Identity: c.identity()}
	switch c.rng.IntN(4) {
	case 0:
		req.Input = history.Payload("1000000")
	case 1:
		req.ScheduledTime = time.Now().Add(time.Duration(c.rng.IntN(20_000)) * time.Millisecond) // within the time of peace
	}
	err, known := c.ask(&req.Identity, func(ctx context.Context, node caller) error { return node.Signal(ctx, req) })
	if string(req.Input) != "1" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counted[c.number]
	if n == nil {
		n = &counting{}
		c.counted[c.number] = n
	}
	if err == nil {
		n.least++
	}
	if err == nil || !known {
		n.most++
	}
}

// checkBank demands that all payments and audits have ended, every audit having seen
// that no money came or went; that all additions were made exactly once; and that no
// entity is locked or has mail when everything is at rest (G8).
func (l *workload) checkBank() {
	c := l.client(0, 3)
	for _, b := range l.banked {
		if len(l.wrong) >= maxProblems {
			return
		}
		got, err := c.awaitEnd(b.ref)
		var output int64
		if err == nil && got.Status == history.Completed {
			err = json.Unmarshal(got.Output, &output)
		}
		if err != nil || got.Status != history.Completed || output != b.want {
			l.complain("G8: %s is %v with %s, want Completed with %d; %v, failure %+v, waits for %q", b.ref.ID, got.Status, got.Output, b.want, err, got.Failure, got.Waiting)
		}
	}
	l.checkEntitiesAtRest()
	for number, n := range l.counted {
		var e leader.Entity
		err, _ := c.ask(nil, func(ctx context.Context, node caller) (err error) {
			e, err = node.Entity(ctx, leader.EntityStatusRequest{Entity: counterOf(number), State: true})
			return err
		})
		var made int64
		if err == nil && e.Exists {
			err = json.Unmarshal(e.State, &made)
		}
		if err != nil || made < n.least || made > n.most {
			l.complain("G8: counter %d is %s; %d additions were acknowledged and %d may have been made; %v", number, e.State, n.least, n.most, err)
		}
	}
}

// checkEntitiesAtRest waits until no entity has anything to do, and sees that nobody
// holds one: all that could have has ended.
func (l *workload) checkEntitiesAtRest() {
	busy := "never looked at"
	for deadline := time.Now().Add(healTime); busy != "" && time.Now().Before(deadline); time.Sleep(time.Second) {
		var err error
		if busy, err = l.busyEntity(); err != nil {
			l.complain("check entities: %v", err)
			return
		}
	}
	if busy != "" {
		l.complain("G8: after %v of peace: %s", healTime, busy)
	}
}

// busyEntity says which entity is not at rest.
func (l *workload) busyEntity() (busy string, err error) {
	for p := uint32(1); p <= simPartitions && busy == "" && err == nil; p++ {
		var r reader
		if r, err = l.state(p); err != nil {
			return "", err
		}
		err = partition.ListEntities(r, p, "sim", "", "", func(a partition.Address) (bool, error) {
			rec, err := partition.ReadRecord(r, a)
			if err != nil || rec == nil {
				return true, err
			}
			if rec.Entity.LockedBy != nil || rec.Entity.Scheduled > 0 || rec.Stored > 0 {
				busy = fmt.Sprintf("%s is %s", a, rec)
			}
			return busy == "", nil
		})
	}
	return busy, err
}
