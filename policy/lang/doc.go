// Package lang reads the policy language: HCL files in, a policy.Document of
// constants or a list of diagnostics out. It is pure (no file, no clock, no
// network) and the only importer of hcl; casemated runs it in a process of its
// own.
//
// # Language
//
// A policy is the union of its files; the order of blocks means nothing. There
// is one policy block, any number of locals blocks, and acl, limit, profile and
// service blocks with a name. Values are strings, numbers, true, false, lists
// and (for env) objects; a string may hold ${local.name}. There are no
// operators, no conditions, no loops and no indexing; a service block with for_each
// makes one service for each of its values. The functions are those of Functions. local.name, acl.name,
// limit.name and profile.name refer to other blocks and are written without quotes.
//
// # Rows
//
// What an attribute is called, how it is written and read, its bounds, its
// default and what its values widen is one row of a table: headTable, aclTable,
// ruleTable, limitTable, widerTable, profileTable, syscallTable, serviceTable and inetdTable. Reference
// shows them; what an attribute does stands where the compiled value is used.
//
// # Other sources
//
// An inetd.conf among the sources (input.IsTable) is read by package inetd; each of its entries
// is a service, which a service block may extend. hosts.allow and hosts.deny, services and
// protocols are known by their names as well.
//
// # Shipped blocks
//
// acl.anyone, acl.localhost, limit.default, limit.wait and the profiles (strict,
// line, files, server, login, those of kinds of program as python and of daemon as sshd, classic and its kin, builtin) are part of
// the binary, see Shipped. A block of the user's with the same name is an error.
//
// # Profiles
//
// A profile begins as a copy of its base (profile.strict when it names none)
// and changes what it writes. Naming read-only paths, device nodes and the size
// of a private /tmp or /dev/shm is what profiles are for and needs no word. Everything else
// that grants more than the base must be announced, so that review sees it: the
// Layer of an attribute's row is the word that widens must hold.
//
// Lists add to the base's lists; syscalls.deny takes calls away again, and a
// call that allow names comes back. An entry of widens that widens nothing is a
// warning. The shipped profiles are the reference that widens counts from: a
// resolved profile lists its own entries and those of the profiles it is built
// on, up to the shipped one.
package lang
