package message

// Flags of ours, for NonInteractiveCommands (docs/adr/0029-commands.md). A client of ours
// begins with FlagInput. An agent of ours answers with the same, and from then on the
// client's Output is the command's input, byte by byte, and keys that raise a signal come
// as flags. A stock agent passes them over, and to a stock client none is sent.
const (
	FlagInput      Flag = 16 // both ways: input may be sent, and will be taken
	FlagInputEnded Flag = 17 // client to agent: the input is over
	FlagInterrupt  Flag = 18 // client to agent: as Ctrl-C at a terminal
	FlagQuit       Flag = 19 // client to agent: as Ctrl-\ at a terminal
)
