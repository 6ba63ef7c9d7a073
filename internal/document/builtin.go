package document

// Owner is who owns the documents of [Builtins]. Their ARNs have no account.
const Owner = "Amazon"

// Patterns of the forwarding documents (api.md §8). A port has no leading zero.
const (
	portPattern    = `^([1-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$`
	anyPortPattern = `^([0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$`
	// In a JSON text: a host has three characters or more, none of a shell's.
	hostPattern   = `^[^,$^&\\(\\)!;'\"<>\\` + "`" + `{}\\[\\]\\|#=]{3,}$`
	prefixPattern = `^[0-9a-zA-Z\\r\\n_:-]{0,30}$`
	// AWS does not publish its own.
	userNamePattern = `^[A-Za-z0-9_.][A-Za-z0-9_.@-]{0,63}$`
)

// builtins are the texts of the documents that AWS owns: its names, parameters and
// properties, in our words. AWS-StartPortForwardingSessionToSocket is not among them,
// as its content is not published.
func builtins() []struct{ name, text string } {
	return []struct{ name, text string }{
		{"AWS-PasswordReset", `{
  "schemaVersion": "1.0",
  "description": "Set a new password for a user of the node. The system asks for it in the session.",
  "sessionType": "InteractiveCommands",
  "parameters": {
    "username": {
      "type": "String",
      "description": "(Required) The user whose password is set.",
      "allowedPattern": "` + userNamePattern + `"
    }
  },
  "properties": {
    "windows": {
      "commands": "net user '{{ username }}' *",
      "runAsElevated": true
    },
    "linux": {
      "commands": "passwd {{ username }}",
      "runAsElevated": true
    },
    "macos": {
      "commands": "passwd {{ username }}",
      "runAsElevated": true
    }
  }
}`},
		{"AWS-StartInteractiveCommand", `{
  "schemaVersion": "1.0",
  "description": "Run one command on a terminal of the node.",
  "sessionType": "InteractiveCommands",
  "parameters": {
    "command": {
      "type": "String",
      "description": "(Required) The command line."
    }
  },
  "properties": {
    "windows": {
      "commands": "{{ command }}",
      "runAsElevated": false
    },
    "linux": {
      "commands": "{{ command }}",
      "runAsElevated": false
    },
    "macos": {
      "commands": "{{ command }}",
      "runAsElevated": false
    }
  }
}`},
		{"AWS-StartNonInteractiveCommand", `{
  "schemaVersion": "1.0",
  "description": "Run one command on the node without a terminal.",
  "sessionType": "NonInteractiveCommands",
  "parameters": {
    "command": {
      "type": "String",
      "description": "(Required) The command line."
    },` + separateOutput + `
  },
  "properties": {
    "windows": ` + separatedCommand + `,
    "linux": ` + separatedCommand + `,
    "macos": ` + separatedCommand + `
  }
}`},
		{"AWS-StartPortForwardingSession", `{
  "schemaVersion": "1.0",
  "description": "Forward a local port to a port of the node.",
  "sessionType": "Port",
  "parameters": {` + forwardedPorts + `
  },
  "properties": {
    "portNumber": "{{ portNumber }}",
    "type": "LocalPortForwarding",
    "localPortNumber": "{{ localPortNumber }}"
  }
}`},
		{"AWS-StartPortForwardingSessionToRemoteHost", `{
  "schemaVersion": "1.0",
  "description": "Forward a local port to a port of a host that the node reaches.",
  "sessionType": "Port",
  "parameters": {
    "host": {
      "type": "String",
      "description": "(Optional) Name or address of the host.",
      "allowedPattern": "` + hostPattern + `",
      "default": "localhost"
    },` + forwardedPorts + `
  },
  "properties": {
    "host": "{{ host }}",
    "portNumber": "{{ portNumber }}",
    "type": "LocalPortForwarding",
    "localPortNumber": "{{ localPortNumber }}"
  }
}`},
		{"AWS-StartSSHSession", `{
  "schemaVersion": "1.0",
  "description": "Carry an SSH connection to the node.",
  "sessionType": "Port",
  "parameters": {
    "portNumber": {
      "type": "String",
      "description": "(Optional) Port of the SSH server.",
      "allowedPattern": "` + portPattern + `",
      "default": "22"
    }
  },
  "properties": {
    "portNumber": "{{ portNumber }}"
  }
}`},
	}
}

const (
	forwardedPorts = `
    "portNumber": {
      "type": "String",
      "description": "(Optional) The port to connect to.",
      "allowedPattern": "` + portPattern + `",
      "default": "80"
    },
    "localPortNumber": {
      "type": "String",
      "description": "(Optional) The port to listen on where the client runs. 0: any that is free.",
      "allowedPattern": "` + anyPortPattern + `",
      "default": "0"
    }`
	separateOutput = `
    "separateOutputStream": {
      "type": "String",
      "description": "(Optional) Whether output and errors are told apart.",
      "allowedValues": ["true", "false"],
      "default": "false"
    },
    "stdOutSeparatorPrefix": {
      "type": "String",
      "description": "(Optional) What stands before output that is told apart.",
      "allowedPattern": "` + prefixPattern + `",
      "default": "STD_OUT:"
    },
    "stdErrSeparatorPrefix": {
      "type": "String",
      "description": "(Optional) What stands before errors that are told apart.",
      "allowedPattern": "` + prefixPattern + `",
      "default": "STD_ERR:"
    }`
	separatedCommand = `{
      "commands": "{{ command }}",
      "runAsElevated": false,
      "separateOutputStream": "{{ separateOutputStream }}",
      "stdOutSeparatorPrefix": "{{ stdOutSeparatorPrefix }}",
      "stdErrSeparatorPrefix": "{{ stdErrSeparatorPrefix }}"
    }`
)

// Builtin finds a document owned by [Owner].
func Builtin(name string) (Document, bool) {
	for _, b := range builtins() {
		if b.name == name {
			return mustParse(b.name, b.text), true
		}
	}
	return Document{}, false
}

// BuiltinText is the text of a document owned by [Owner], in JSON.
func BuiltinText(name string) (string, bool) {
	for _, b := range builtins() {
		if b.name == name {
			return b.text, true
		}
	}
	return "", false
}

// Builtins are all documents owned by [Owner], by name.
func Builtins() []Document {
	texts := builtins()
	list := make([]Document, len(texts))
	for i, b := range texts {
		list[i] = mustParse(b.name, b.text)
	}
	return list
}
