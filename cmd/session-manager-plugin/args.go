package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"

	"sekisho/internal/client"
	"sekisho/internal/ssm"
)

// responseVariable begins the names of environment variables that hold the answer of
// StartSession, by which the CLI keeps the token out of the process list.
const responseVariable = "AWS_SSM_START_SESSION_RESPONSE"

// arguments are what the CLI says.
type arguments struct {
	session  client.Session
	region   string
	profile  string // empty for the default
	request  ssm.StartSessionInput
	endpoint string // of the service, a URL
}

// usageError is a mistake of whoever started the program; its text says what to do.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// parseArguments reads the arguments after the program's name: the answer of
// StartSession or the name of the variable that holds it, region, operation, profile,
// request parameters, endpoint. CLIs of old end with the operation. The variable is
// removed from the environment, which child processes inherit.
func parseArguments(env *environment, args []string) (arguments, error) {
	const hint = "This program is started by the AWS CLI; run: aws ssm start-session --target NODE"
	if len(args) < 3 {
		return arguments{}, usagef("Unknown operation %s. %s", args[0], hint)
	}
	if args[2] != "StartSession" {
		return arguments{}, usagef("Invalid Operation %s: only StartSession is known. %s", args[2], hint)
	}
	response := args[0]
	if strings.HasPrefix(response, responseVariable) {
		text, ok := env.lookup(response)
		if !ok {
			return arguments{}, usagef("The environment variable %s, which the first argument names, is not set. %s", response, hint)
		}
		env.unset(response)
		response = text
	}
	session, err := parseResponse(response)
	if err != nil {
		return arguments{}, err
	}
	a := arguments{session: session, region: args[1]}
	if a.region == "" {
		return arguments{}, usagef("The region, the second argument, is empty. Set it with: aws configure set region REGION")
	}
	if len(args) > 3 {
		a.profile = args[3]
	}
	if len(args) > 4 && args[4] != "" {
		if err := json.Unmarshal([]byte(args[4]), &a.request); err != nil {
			return arguments{}, usagef("The request parameters, the fifth argument, are not JSON of a StartSession request (%v). %s", err, hint)
		}
	}
	a.endpoint = endpointOf(env, args, a.region)
	if u, err := url.Parse(a.endpoint); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return arguments{}, usagef("The endpoint %q, the sixth argument, is not an http or https URL. Check AWS_ENDPOINT_URL and the CLI's --endpoint-url.", a.endpoint)
	}
	return a, nil
}

// endpointOf gives the service's address: the CLI's word, or what its environment
// would have made it say.
func endpointOf(env *environment, args []string, region string) string {
	if len(args) > 5 && args[5] != "" {
		return args[5]
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL"} {
		if endpoint, _ := env.lookup(name); endpoint != "" {
			return endpoint
		}
	}
	return "https://ssm." + region + ".amazonaws.com"
}

// parseResponse reads the answer of StartSession. Members that are not known are
// left alone, as newer services add some.
func parseResponse(text string) (client.Session, error) {
	var response ssm.StartSessionOutput
	if err := json.Unmarshal([]byte(text), &response); err != nil {
		// The text may hold a token, so it is not shown.
		return client.Session{}, usagef("The first argument is not the JSON answer of StartSession, nor the name of an environment variable that begins with %s.", responseVariable)
	}
	for _, member := range []struct{ name, value string }{
		{"SessionId", response.SessionID}, {"TokenValue", response.TokenValue}, {"StreamUrl", response.StreamURL},
	} {
		if member.value == "" {
			return client.Session{}, usagef("The answer of StartSession has no %s; the service did not start a session. Start it again.", member.name)
		}
	}
	return client.Session{ID: response.SessionID, Token: response.TokenValue, StreamURL: response.StreamURL}, nil
}

// environment is what the program takes from the process that it is.
type environment struct {
	stdin, stdout, stderr *os.File
	lookup                func(name string) (string, bool)
	unset                 func(name string)
	guard                 []string // command line of the terminal's guard
}

func (e *environment) getenv(name string) string {
	value, _ := e.lookup(name)
	return value
}
