package lab

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// Clients call replicas in turn.
type Clients struct {
	next  atomic.Uint64
	conns []*grpc.ClientConn
	stubs []syncv1.SyncServiceClient
}

// Next is the client of the replica whose turn it is.
func (c *Clients) Next() syncv1.SyncServiceClient { return c.stubs[c.next.Add(1)%uint64(len(c.stubs))] }

// At is the client of one replica.
func (c *Clients) At(n int) syncv1.SyncServiceClient { return c.stubs[n] }

// Close ends the connections.
func (c *Clients) Close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

const callTimeout = 8 * time.Second

// FollowUps makes clients with the identity of the followups service, one connection to each target.
func (l *Lab) FollowUps(targets ...string) (*Clients, error) { return l.As("followups", targets...) }

// As makes clients with the identity of a service, one connection to each target.
func (l *Lab) As(service string, targets ...string) (*Clients, error) {
	identity, err := l.CA.Issue(service)
	if err != nil {
		return nil, fmt.Errorf("make clients: %w", err)
	}
	return dial(identity, nil, targets)
}

// Gateway makes clients with the gateway's identity that act as a principal.
func (l *Lab) Gateway(who principal.Principal, targets ...string) (*Clients, error) {
	identity, err := l.CA.Issue("gateway")
	if err != nil {
		return nil, fmt.Errorf("make clients: %w", err)
	}
	signer := principal.NewSigner(identity.Signer(), time.Now)
	mint := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		token, err := signer.Token(who, "sync")
		if err != nil {
			return err
		}
		return invoke(principal.OutgoingToken(ctx, token), method, req, reply, cc, opts...)
	}
	return dial(identity, []grpc.DialOption{grpc.WithChainUnaryInterceptor(mint)}, targets)
}

func dial(identity *rpc.Identity, options []grpc.DialOption, targets []string) (*Clients, error) {
	c := &Clients{}
	for _, target := range targets {
		conn, err := rpc.Dial(rpc.ClientConfig{
			Target: target, Service: "sync", Identity: identity, DefaultTimeout: callTimeout, Options: options,
		})
		if err != nil {
			c.Close()
			return nil, err
		}
		c.conns = append(c.conns, conn)
		c.stubs = append(c.stubs, syncv1.NewSyncServiceClient(conn))
	}
	return c, nil
}

// Person is a contact at the provider with its lead.
type Person struct {
	// Lead is the resource name, Contact the provider's id.
	Lead, Contact string
}

// Tenant is a connected workspace with its people.
type Tenant struct {
	// Workspace is the bare id, Name the resource name.
	Workspace, Name, Location string
	People                    []Person
}

// Tenant makes a workspace connected to a location of the simulator, with one lead for each contact.
func (l *Lab) Tenant(ctx context.Context, admin *Clients, location string, contacts []simulator.Contact) (*Tenant, error) {
	return l.TenantAt(ctx, admin, simulator.Location{ID: location}, contacts)
}

// TenantAt is Tenant with a location of its own settings.
func (l *Lab) TenantAt(ctx context.Context, admin *Clients, at simulator.Location, contacts []simulator.Contact) (*Tenant, error) {
	at.Token = "pit-" + at.ID
	if err := l.AddLocation(at); err != nil {
		return nil, err
	}
	return l.tenant(ctx, admin, &syncv1.Connection{Location: at.ID, Token: at.Token}, contacts)
}

// OAuthTenant is Tenant by an install of the marketplace app; the replicas need AppEnv.
func (l *Lab) OAuthTenant(ctx context.Context, admin *Clients, location string, contacts []simulator.Contact) (*Tenant, error) {
	if err := l.AddLocation(simulator.Location{ID: location}); err != nil {
		return nil, err
	}
	code, err := l.IssueCode(location)
	if err != nil {
		return nil, err
	}
	return l.tenant(ctx, admin, &syncv1.Connection{Location: location, OauthCode: code}, contacts)
}

// AppEnv is the environment of a replica with the marketplace app.
func AppEnv() []string {
	return []string{"RELANCE_SYNC_GHL_CLIENT_ID=app-1", "RELANCE_SYNC_GHL_CLIENT_SECRET=app-secret"}
}

func (l *Lab) tenant(ctx context.Context, admin *Clients, c *syncv1.Connection, contacts []simulator.Contact) (*Tenant, error) {
	made, err := admin.Next().CreateWorkspace(ctx, &syncv1.CreateWorkspaceRequest{
		Workspace: &syncv1.Workspace{DisplayName: c.GetLocation(), TimeZone: Noon(time.Now())}, RequestId: uuid.NewString(),
	})
	if err != nil {
		return nil, fmt.Errorf("create workspace: %w", err)
	}
	t := &Tenant{Name: made.GetWorkspace().GetName(), Location: c.GetLocation(), People: make([]Person, len(contacts))}
	t.Workspace = t.Name[len("workspaces/"):]
	if _, err = admin.Next().SetConnection(ctx, &syncv1.SetConnectionRequest{Parent: t.Name, Connection: c}); err != nil {
		return nil, fmt.Errorf("connect workspace: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(16)
	for i, c := range contacts {
		group.Go(func() (err error) {
			t.People[i], err = l.person(ctx, admin, t, c)
			return err
		})
	}
	return t, group.Wait()
}

func (l *Lab) person(ctx context.Context, admin *Clients, t *Tenant, c simulator.Contact) (Person, error) {
	c, err := l.AddContact(t.Location, c)
	if err != nil {
		return Person{}, err
	}
	made, err := admin.Next().UpsertLead(ctx, &syncv1.UpsertLeadRequest{Parent: t.Name, Lead: &syncv1.Lead{
		GhlContactId: c.ID, Email: c.Email, Phone: c.Phone, FirstName: c.FirstName, TimeZone: Noon(time.Now()),
	}})
	if err != nil {
		return Person{}, fmt.Errorf("make lead: %w", err)
	}
	return Person{Lead: made.GetLead().GetName(), Contact: c.ID}, nil
}

// Noon is a zone in which it is about noon now, so that no rule about the hours of texting stands in the way of a proof
// about something else, whenever it is run.
func Noon(now time.Time) string {
	offset := 12 - now.UTC().Hour() // hours to add to UTC
	if offset >= 0 {
		return fmt.Sprintf("Etc/GMT-%d", offset)
	}
	return fmt.Sprintf("Etc/GMT+%d", -offset)
}
