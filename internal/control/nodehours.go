package control

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// GetNodeHoursInput is the request of sekisho:GetNodeHours.
type GetNodeHoursInput struct {
	Since *ssm.Time `constraint:""` // the beginning of the month if absent
	Until *ssm.Time `constraint:""` // now if absent
	// TagKey asks for sums by the values of a tag in place of single nodes.
	TagKey string `constraint:"len=1..128 pattern=Tag"`
}

// NodeHours is the report: how long nodes were registered, by the tier of the account
// then (ADR 0017). Hours are rounded to a thousandth.
type NodeHours struct {
	Since, Until string // RFC 3339
	Total        TierHours
	Nodes        []HoursOfNode `json:",omitempty"`
	Tags         []HoursOfTag  `json:",omitempty"`
}

// TierHours are hours by activation tier.
type TierHours struct{ Standard, Advanced float64 }

// HoursOfNode are those of a node. One that was deregistered has the tags that it had
// last.
type HoursOfNode struct {
	InstanceID     string `json:"InstanceId"`
	Name           string `json:",omitempty"`
	ActivationID   string `json:"ActivationId"`
	IamRole        string
	RegisteredAt   string
	DeregisteredAt string    `json:",omitempty"`
	Tags           []ssm.Tag `json:",omitempty"`
	TierHours
}

// HoursOfTag are those of the nodes with one value of the tag, "" for those without it.
type HoursOfTag struct {
	Value string
	Nodes int
	TierHours
}

// GetNodeHours reports for how many hours nodes were registered, by tier: what AWS bills,
// for those who charge departments.
func (s *Server) GetNodeHours(ctx context.Context, in *GetNodeHoursInput) (*NodeHours, error) {
	if err := s.authorize(ctx, "sekisho:GetNodeHours", everything); err != nil {
		return nil, err
	}
	var since, until time.Time
	if in.Since != nil {
		since = in.Since.Time
	}
	if in.Until != nil {
		until = in.Until.Time
	}
	return CountNodeHours(ctx, s.cfg.Store, since, until, in.TagKey, s.cfg.Now())
}

// CountNodeHours makes the report of a period, for whoever has the store. Zero times mean
// the beginning of the month of until, and now.
func CountNodeHours(ctx context.Context, st *store.Store, since, until time.Time, tagKey string, now time.Time) (*NodeHours, error) {
	if until.IsZero() || until.After(now) {
		until = now
	}
	until = until.UTC()
	if since.IsZero() {
		since = time.Date(until.Year(), until.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	since = since.UTC()
	if !since.Before(until) {
		return nil, validation("The period must end after it begins, and begin in the past.")
	}
	tiers, err := st.TierChanges(ctx)
	if err != nil {
		return nil, err
	}
	list, err := st.Registrations(ctx, since, until)
	if err != nil {
		return nil, err
	}
	out := &NodeHours{Since: since.Format(time.RFC3339), Until: until.Format(time.RFC3339)}
	tags := make(map[string]*HoursOfTag)
	for _, r := range list {
		from, to := r.RegisteredAt, until
		if from.Before(since) {
			from = since
		}
		if !r.DeregisteredAt.IsZero() && r.DeregisteredAt.Before(until) {
			to = r.DeregisteredAt
		}
		hours := hoursByTier(from, to, tiers)
		out.Total.add(hours)
		if tagKey != "" {
			value := ""
			for _, t := range r.Tags {
				if t.Key == tagKey {
					value = t.Value
				}
			}
			if tags[value] == nil {
				tags[value] = &HoursOfTag{Value: value}
			}
			tags[value].Nodes++
			tags[value].add(hours)
			continue
		}
		n := HoursOfNode{InstanceID: r.NodeID, Name: r.Name, ActivationID: r.ActivationID, IamRole: r.IamRole,
			RegisteredAt: r.RegisteredAt.Format(time.RFC3339), Tags: r.Tags, TierHours: hours.rounded()}
		if !r.DeregisteredAt.IsZero() {
			n.DeregisteredAt = r.DeregisteredAt.Format(time.RFC3339)
		}
		out.Nodes = append(out.Nodes, n)
	}
	for _, value := range slices.Sorted(maps.Keys(tags)) {
		t := *tags[value]
		t.TierHours = t.rounded()
		out.Tags = append(out.Tags, t)
	}
	out.Total = out.Total.rounded()
	return out, nil
}

// hoursByTier divides a time by the account's tier, which is standard before the first
// change.
func hoursByTier(from, to time.Time, changes []store.TierChange) (hours TierHours) {
	tier := ssm.TierStandard
	for i := 0; from.Before(to); i++ {
		end := to
		if i < len(changes) && changes[i].Since.Before(to) {
			end = changes[i].Since
		}
		if end.After(from) {
			if tier == ssm.TierAdvanced {
				hours.Advanced += end.Sub(from).Hours()
			} else {
				hours.Standard += end.Sub(from).Hours()
			}
			from = end
		}
		if i < len(changes) {
			tier = changes[i].Tier
		}
	}
	return hours
}

func (h *TierHours) add(x TierHours) {
	h.Standard += x.Standard
	h.Advanced += x.Advanced
}

func (h TierHours) rounded() TierHours {
	return TierHours{math.Round(h.Standard*1000) / 1000, math.Round(h.Advanced*1000) / 1000}
}
