package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"io"
	"net/http"

	"sekisho/internal/auth"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// signingName is the service that channel requests are signed for.
const signingName = "ssmmessages"

// maxCreateBody bounds the JSON of a create call; real ones have about 100 bytes.
const maxCreateBody = 16 << 10

// sessionEndedText is the text on which a stock agent stops trying to reconnect a data
// channel (agent/session/datachannel/datachannel.go; protocol.md §2.3).
const sessionEndedText = "Session is already terminated"

// createControlChannel answers CreateControlChannel: a token for the websocket.
func (g *Gateway) createControlChannel(w http.ResponseWriter, r *http.Request, nodeID string) {
	if _, err := g.authorizeNode(r, nodeID, "ssmmessages:CreateControlChannel"); err != nil {
		g.refuse(w, err)
		return
	}
	writeToken(w, "CreateControlChannelResponse", g.tokens.issue("control", nodeID))
}

// createDataChannel answers CreateDataChannel. Only the session's own node may ask.
func (g *Gateway) createDataChannel(w http.ResponseWriter, r *http.Request, sessionID string) {
	p, err := g.authorizeNode(r, "", "ssmmessages:CreateDataChannel")
	if err == nil {
		_, err = g.sessionOf(r.Context(), sessionID, p.NodeID)
	}
	if err != nil {
		g.refuse(w, err)
		return
	}
	writeToken(w, "CreateDataChannelResponse", g.tokens.issue("data/"+sessionID, p.NodeID))
}

// authorizeNode verifies that the request comes from a node, from nodeID unless that is
// empty, and that it may do action.
func (g *Gateway) authorizeNode(r *http.Request, nodeID, action string) (auth.Principal, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxCreateBody))
	if err != nil {
		return auth.Principal{}, ssm.Errorf(ssm.CodeValidation, "The request body is too large.")
	}
	p, err := g.cfg.Auth.Authenticate(r.Context(), r, body, signingName)
	if err != nil {
		return p, err
	}
	if err := g.cfg.Auth.Authorize(auth.WithPrincipal(r.Context(), p), auth.Request{Action: action, Resource: g.cfg.ARNs.Any()}); err != nil {
		return p, err
	}
	if p.NodeID == "" || (nodeID != "" && p.NodeID != nodeID) {
		return p, ssm.Errorf(ssm.CodeAccessDenied, "User: %s is not authorized to perform: %s for another node", p.ARN, action)
	}
	return p, nil
}

// sessionOf finds a session that is not over and belongs to the node. What does not
// exist and what belongs to another node look alike.
func (g *Gateway) sessionOf(ctx context.Context, sessionID, nodeID string) (*session, error) {
	row, s, err := g.find(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	if row.NodeID != nodeID {
		return nil, ssm.Errorf(ssm.CodeDoesNotExist, sessionEndedText)
	}
	return g.take(row, s)
}

// find gives the facts of a live session, and the session itself if it is here. It
// changes nothing, so it may be asked before it is known who wants to know.
func (g *Gateway) find(ctx context.Context, id string) (store.Session, *session, error) {
	over := ssm.Errorf(ssm.CodeDoesNotExist, sessionEndedText)
	g.mu.Lock()
	s := g.sessions[id]
	g.mu.Unlock()
	if s != nil {
		if s.over() {
			return store.Session{}, nil, over
		}
		return s.row, s, nil
	}
	row, err := g.cfg.Store.Session(ctx, id)
	// An id that cannot be one (invalid text) is as unknown as any other.
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) || err == nil && !row.Status.Active() {
		return store.Session{}, nil, over
	}
	return row, nil, err
}

// take gives what find found to somebody with a right to it. A session that is not
// here is taken up: an earlier process relayed it.
func (g *Gateway) take(row store.Session, s *session) (*session, error) {
	if s != nil {
		return s, nil
	}
	return g.adopt(row, true)
}

// channelToken is the XML that agents read; root and namespace are free, but a missing
// TokenValue crashes the stock agent (protocol.md §2.3).
type channelToken struct {
	XMLName              xml.Name
	MessageSchemaVersion string
	TokenValue           string
}

func writeToken(w http.ResponseWriter, root, token string) {
	writeXML(w, http.StatusCreated, channelToken{XMLName: xml.Name{Local: root}, MessageSchemaVersion: "1.0", TokenValue: token})
}

// refusal is an error of the gateway's REST calls. The stock agent looks for the text
// "<AccessDeniedException>" in the body.
type refusal struct {
	XMLName xml.Name
	Message string
}

func (g *Gateway) refuse(w http.ResponseWriter, err error) {
	var api *ssm.Error
	var sig *sigv4.Error
	switch {
	case errors.As(err, &api):
		writeXML(w, http.StatusBadRequest, refusal{XMLName: xml.Name{Local: api.Code}, Message: api.Message})
	case errors.As(err, &sig):
		writeXML(w, http.StatusBadRequest, refusal{XMLName: xml.Name{Local: sig.Code}, Message: sig.Message})
	default:
		id := ssm.NewUUID()
		g.logger.Error("channel request failed", "request_id", id, "error", err)
		writeXML(w, http.StatusInternalServerError, refusal{XMLName: xml.Name{Local: ssm.CodeInternal}, Message: "request " + id})
	}
}

func writeXML(w http.ResponseWriter, status int, v any) {
	text, err := xml.Marshal(v)
	if err != nil { // cannot happen for the two types above
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a caller that is gone does not read the answer
}

// hashToken is what the store keeps of a client's token.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
