// Package e2e holds tests only: whole conversations with real peers (the aws CLI, our
// plugin and agent, stock ones where they are named by STOCK_PLUGIN and STOCK_AGENT_DIR)
// against a server started as an operator starts it, and the rules about who may import
// whom.
package e2e
