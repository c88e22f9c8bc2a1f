package main

// peer is a fault that another super-server had, or its kind.
type peer struct {
	ref   string // the CVE, the bug, or the program and when
	class string // what went wrong
	// tests hold casemate to not having it, as in row.
	tests []string
	never string // why it has no test: what it needs is not here
}

var peers = []peer{
	{"CVE-2013-4342", "services behind tcpmux ran as root", []string{"tests/root.TestTcpmuxRunsAsItsUser"}, ""},
	{"CVE-2012-0862", "tcpmux exposed every service", []string{"tests/root.TestTcpmuxHidesOthers", "listener/builtin.TestMuxRefuses"}, ""},
	{"CVE-2001-1322", "programs inherited umask 0", []string{"tests/root.TestCVE2001_1322_Umask", "tests/root.TestIdentity", "tests/escape.TestStateOfTheService"}, ""},
	{"CVE-2001-1389: FD_SETSIZE", "a descriptor above 1023 overran a table", []string{"tests/root.TestDescriptorsAbove1024", "tests/root.TestCrowd"}, ""},
	{"CVE-2001-1389: strings", "overflow of helpers, and control characters in the log", []string{"tests/root.TestLogInjection", "tests/escape.TestLogIsNotForged", "listener/said.TestQuote", "cmd/casemate.TestPrintersQuoteWhatServicesChose"}, ""},
	{"CVE-2001-0763, CVE-2001-0825", "the reply of an ident server overflowed", []string{"tests/root.TestAuth", "listener/builtin.TestAuth", "listener/builtin.TestLineHasOneDeadline"}, "nothing asks an ident server; the tests hold the one that answers"},
	{"CVE-2000-0536 (Debian #65757)", "a client without reverse DNS passed a list of names", []string{"acl/decide.TestCVE2000_0536", "cmd/casemate-worker.TestLookup", "listener/broker.TestNamesFailClosed", "tests/root.TestHostNames"}, ""},
	{"CVE-2002-0871", "programs inherited descriptors of the daemon", []string{"tests/escape.TestAttempts", "sandbox/zygote.TestStart", "sandbox/zygote.TestZygoteHoldsItsOwn"}, ""},
	{"CVE-2001-0309", "built-ins kept the sockets of their clients", []string{"tests/root.TestCVE2001_0309_BuiltinConnections", "listener/builtin.TestNothingLeaks"}, ""},
	{"CVE-2003-0211", "each refused connection kept memory", []string{"tests/root.TestCVE2003_0211_RefusedConnections"}, ""},
	{"CVE-2001-0196", "the built-in ident read a user's file with the wrong group", []string{"tests/root.TestAuth", "cmd/casemate-worker.TestConfined", "tests/root.TestBuiltins"}, ""},
	{"NetBSD 1998", "accept blocked behind a client that had reset", []string{"tests/root.TestResetBeforeAccept", "listener/inbound.TestAcceptAfterReset"}, ""},
	{"CVE-1999-0103, CVE-2024-2169, VU#417980", "two responders kept each other busy", []string{"tests/root.TestCVE1999_0103_ForgedPorts", "tests/root.TestCVE2024_2169_TwoInstances", "listener/builtin.TestGuard", "listener/builtin.TestResponderLoopDies"}, ""},
	{"Debian #1013300", "a udp answer was larger than its request", []string{"tests/root.TestUDPAmplification", "listener/builtin.TestNoAmplification", "listener/builtin.TestResponses"}, ""},
	{"CVE-2022-39028", "a crashing program had its service removed", []string{"tests/root.TestCrashLoop", "tests/root.TestPenalties"}, ""},
	{"CVE-2023-40303", "setuid, setgid and initgroups failed unnoticed", []string{"sandbox/zygote.TestCVE2023_40303_FailedIdentity"}, ""},
	{"CVE-2026-24061, CVE-2026-28372", "a client set the environment of a privileged login", []string{"tests/root.TestCVE2026_24061_Login", "tests/escape.TestEnvironment", "tests/root.TestEnvironmentStyles"}, ""},
	{"CVE-2026-32746", "a memory bug of a program before its login", []string{"tests/escape.TestAttempts", "tests/escape.TestEveryShippedProfile"}, ""},
	{"CVE-2016-7795, CVE-2016-7796", "an empty datagram froze the daemon", []string{"tests/root.TestCVE2016_7795_EmptyDatagram", "cmd/inetd.TestBackground"}, ""},
	{"CA-1999-01", "a trojan in the wrapper's source", []string{"tests/script.TestReproducible", "tests/fences.TestDependencyLists"}, ""},
	{"hosts.deny without a final newline", "its last rule was ignored, and everybody admitted", []string{"policy/hostsaccess.TestDenyWithoutNewline", "policy/hostsaccess.TestDecidesAsTcpdmatch", "policy/hostsaccess.TestRefusals"}, ""},
	{"rlinetd 0.9, Ubuntu #1057645", "select beyond FD_SETSIZE", []string{"tests/root.TestDescriptorsAbove1024", "tests/root.TestCrowd"}, ""},
	{"rlinetd, IPv6 RPC", "a reply of the port mapper overran the stack", nil, "nothing speaks RPC: an entry that asks for it is refused"},
	{"old xinetd, dump in /tmp", "a planted link had root overwrite a file", []string{"tests/root.TestHostileFolder", "cmd/inetd.TestPlantedPidFile", "sandbox/hostpath.TestUnsafePaths", "sandbox/hostpath.TestCreate"}, ""},
	{"NetBSD rate limiter", "a failing getpeername ended the daemon", []string{"tests/root.TestResetBeforeAccept"}, ""},
	{"NetBSD accept_max", "a refused connection kept its place", []string{"tests/root.TestRefusalsKeepNoPlace", "tests/root.TestConcurrency"}, ""},
	{"GNU inetd, TCP* variables", "a program had the environment of the client before", []string{"tests/root.TestNoEnvironmentOfAnother"}, ""},
	{"xinetd, banners in the loop", "a client that does not read kept the others waiting", []string{"tests/root.TestSlowReadersOfBanners", "listener/inbound.TestSayDoesNotWait", "listener/broker.TestFarewellIsBounded"}, ""},
	{"xinetd, nice and rlimits after setuid", "a limit that could not be set was left out in silence", []string{"sandbox.TestNice", "tests/root.TestProcessAttributes", "tests/root.TestDescriptorLimits"}, ""},
	{"systemd TriggerLimit", "a flood took a service out for good", []string{"tests/root.TestFloodThenOne"}, ""},
	{"xinetd SENSOR and udp", "a forged datagram shut a third party out", []string{"tests/root.TestForgedDatagramShutsNobodyOut"}, ""},
	{"wait and hosts.allow", "a rule that nobody enforced", []string{"policy/lang.TestDiagnostics", "policy.TestValidate"}, ""},
	{"SIGHUP beside a wait program", "its socket could not be bound again for ten minutes", []string{"tests/root.TestHangupsBesideAWaitingProgram", "tests/root.TestReloadUnderFire"}, ""},
	{"openbsd-inetd, Debian #1050208", "each reload leaked, and one freed twice", []string{"tests/root.TestManyReloads"}, ""},
	{"a privileged parent that parses", "root asked DNS and ident, and read files for clients", []string{"tests/root.TestBrokerIsConfined", "tests/fences.TestForbiddenLinks", "tests/fences.TestStandingOfImports", "listener/broker.TestNamesFailClosed"}, ""},
}
