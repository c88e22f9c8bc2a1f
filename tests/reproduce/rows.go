package main

// row is one input that failed once: from using it (field), from inside the sandbox
// (red), or under load and faults (storm).
type row struct {
	list, id string
	what     string // the input, and what is right
	// tests show it, each as PACKAGE.TEST; of a test in a table of scripts or of
	// subtests, PACKAGE.TEST/NAME. None where the row is open.
	tests []string
	open  string // what is not right yet
}

var rows = []row{
	{"field", "1", "an answer before the request is read ends in order", []string{"listener/broker.TestUnreadRequest", "listener/broker.TestBannerReachesWhoSpokeFirst"}, ""},
	{"field", "2", "a printer whose client has left dies of SIGPIPE", []string{"tests/root.TestEndUnderInit", "tests/root.TestEndWithoutInit"}, "profile.files has no init: there hangup = true ends it, or its session limit"},
	{"field", "3", "alarm(2) ends who waits", []string{"tests/root.TestEndUnderInit", "tests/root.TestEndWithoutInit", "sandbox.TestTrueEndUnderInit"}, "without init the signal has no effect, and idle stands in for it"},
	{"field", "4", "a crash and a violation under init have their reasons and penalties", []string{"tests/root.TestEndUnderInit", "sandbox.TestTrueEndUnderInit"}, ""},
	{"field", "5", "libaudit is told that there is no audit", []string{"tests/root.TestPAM", "tests/root.TestSshdTerminal", "sandbox/seccomp.TestAuditAnswer"}, ""},
	{"field", "6", "setuid and setgid to one's own ids succeed", []string{"tests/root.TestOwnIdentity", "tests/root.TestCVS"}, ""},
	{"field", "7", "/dev/fd, and /dev/stderr to write to", []string{"sandbox.TestDevices", "tests/root.TestStderrByName"}, ""},
	{"field", "8", "/dev/null opens for reading and writing", []string{"sandbox.TestDevices"}, ""},
	{"field", "9", "a private /dev/shm on request", []string{"sandbox.TestDevices"}, ""},
	{"field", "10", "syslog(3) ends in the session's log", []string{"tests/root.TestSyslog"}, "only where the profile says log = true, of the shipped ones login"},
	{"field", "11", "a datagram that a wait program never takes is dropped after a while", []string{"listener/broker.TestProgramTakesNothing"}, ""},
	{"field", "12", "a program that cannot start inside is refused at load, by the file that is missing", []string{"sandbox.TestScriptRefused", "sandbox.TestProgramInTheTree", "tests/root.TestMissingLibrary"}, ""},
	{"field", "13", "a program that is replaced is noticed", []string{"tests/root.TestHostChanges", "listener/broker.TestChangedSources", "listener/broker.TestChangedProgramAtZygoteStart"}, ""},
	{"field", "14", "one broken service does not keep the others from being served at start", []string{"tests/root.TestBrokenServices", "listener/broker.TestBrokenServiceAtStart", "listener/broker.TestReloadAfterABrokenStart"}, ""},
	{"field", "15", "capabilities that cannot be given are refused at check", []string{"policy/lang.TestHabits", "sandbox.TestCapabilitiesCanBeGiven"}, ""},
	{"field", "16", "no leased uid is in use twice", []string{"tests/root.TestTwoBrokersShareThePool", "tests/root.TestLeftSessionsKeepTheirUid", "listener/lease.TestUidInUseIsNotLeased"}, ""},
	{"field", "17", "HUP with a bad policy logs file, line and column", []string{"tests/root.TestFailedHangupNamesThePlace"}, ""},
	{"field", "18", "a log that was moved is opened anew", []string{"tests/root.TestLogRotation"}, ""},
	{"field", "19", "a full disk costs whole lines, counted", []string{"listener/journal.TestFullDiskIsCounted", "listener/journal.TestFullDiskTearsNoLine", "listener/journal.TestTornLogIsMended"}, ""},
	{"field", "20", "kill of the pid in status, or casemate kill, ends the session, without a penalty", []string{"tests/root.TestEndUnderInit", "tests/root.TestKill", "listener/broker.TestKill", "listener/broker.TestEndReason"}, "without init a TERM of kill(1) has no effect"},
	{"field", "21", "bind takes any and ranges", []string{"policy/lang.TestNetworkPorts", "tests/escape.TestListedPortsHold"}, ""},
	{"field", "22", "connect = any allows no bind", []string{"tests/escape.TestEachNetworkRightAlone", "sandbox/landlock.TestEachRightAlone"}, ""},
	{"field", "23", "700 services with profiles compile in a second or two", []string{"policy/lang.TestBulk", "policy/lang.TestBulkGrowth"}, ""},
	{"field", "24", "[::1] on a host without IPv6 fails alone", []string{"listener/broker.TestMissingAddressAtStart"}, ""},
	{"field", "25", "a udp built-in that no admitted client can use is told at check", []string{"policy/lang.TestDeafBuiltin"}, ""},
	{"field", "26", "${REMOTE_ADDR} is answered with what to write", []string{"policy/lang.TestHabits"}, ""},
	{"field", "27", "shipped profiles serve on Debian 12's kernel", []string{"policy/lang.TestShippedProfilesOnEveryABI", "tests/escape.TestOldKernel"}, ""},
	{"field", "28", "a hard limit of 4,096 descriptors is raised or named", []string{"tests/root.TestDescriptorLimits"}, ""},
	{"field", "29", "a session at its memory limit ends with the reason memory", []string{"tests/root.TestMemoryIsNoCrash", "listener/broker.TestOutOfMemoryIsNoCrash"}, ""},
	{"field", "30", "a built-in's datagram rate is an attribute", []string{"listener/builtin.TestResponses", "policy/lang.TestResponses"}, ""},
	{"field", "31", "a soft limit of 1,024 descriptors serves", []string{"tests/root.TestDescriptorLimits"}, ""},
	{"field", "32", "control groups lie below the unit's", []string{"tests/root.TestCgroupsInsideTheUnit", "tests/root.TestCgroupsAfterAKill", "tests/root.TestCgroupsNotDelegated"}, ""},

	{"red", "F1", "MSG_FASTOPEN under network none", []string{"tests/escape.TestListenerDoesNotConnect", "sandbox/seccomp.TestFastOpenIsAConnect"}, ""},
	{"red", "F2", "MSG_FASTOPEN past a list of ports", []string{"tests/escape.TestListedPortsHold"}, ""},
	{"red", "F3", "a link planted in a writable path", []string{"tests/escape.TestPlantedLink", "tests/escape.TestPlantedLinkRaced"}, ""},
	{"red", "F4", "forks, threads, shared memory and semaphores are bounded", []string{"tests/escape.TestBombs", "tests/escape.TestAttempts", "sandbox.TestTasksHold"}, ""},
	{"red", "F5", "no session outlives its broker", []string{"tests/root.TestNoSessionUnties", "tests/root.TestSurvivorsAreEnded"}, ""},
	{"red", "F6", "one session does not change another's stderr", []string{"tests/escape.TestStderrIsNotShared", "tests/root.TestStderrBelongsToItsSession"}, ""},
	{"red", "F7", "crashes and violations under init", []string{"tests/root.TestEndUnderInit"}, ""},
	{"red", "F8", "options that a wait program leaves on its listener", []string{"listener.TestRestoreOptions", "listener/broker.TestWaitSocketKeepsItsQueue"}, ""},
	{"red", "F9", "a second exec of a program that may run but once", []string{"tests/escape.TestExecsOnce", "tests/escape.TestScriptExecsOnce"}, ""},
	{"red", "F10", "a worker that writes into the log's file", []string{"tests/root.TestLogIsTheBrokersAlone"}, ""},
	{"red", "F11", "a script that is swapped after it was checked", []string{"tests/escape.TestSwappedScript", "sandbox.TestScriptSwappedAfterTheCheck"}, ""},
	{"red", "nproc", "one service's tasks and another's, of one user", []string{"sandbox.TestTasksAreCounted", "policy/lang.TestTogether"}, ""},
	{"red", "ino", "inotify watches", []string{"tests/escape.TestAttempts"}, ""},
	{"red", "launch", "calls of the launch after the start", []string{"sandbox.TestLaunchFlagsArePowerless"}, ""},
	{"red", "init2", "a program under init that passes for another end", []string{"tests/root.TestEndUnderInit"}, ""},
	{"red", "errstorm", "a flood on stderr", []string{"tests/root.TestStderrFlood", "tests/escape.TestNoise"}, ""},

	{"storm", "forgedpolicy", "a forged answer of the compiler", []string{"policy.TestForgedDocument", "listener/warden.TestForgedAnswer", "tests/root.TestCompilerIsNotTrusted"}, ""},
	{"storm", "h1", "a wait program shuts its socket down", []string{"tests/root.TestWaitProgramShutsItsListenerDown", "listener/broker.TestWaitProgramShutsItsSocketDown"}, ""},
	{"storm", "h2", "TERM in a storm of HUPs, and behind a hung compiler", []string{"tests/root.TestTermComesFirst"}, ""},
	{"storm", "h3", "a client at a built-in's idle end", []string{"listener/builtin.TestClientAtTheIdleEnd"}, ""},
	{"storm", "h4", "a built-in with many sockets, and with one busy port", []string{"listener/broker.TestBuiltinWithOneBusyPort", "listener/builtin.TestSessionsFillTheDescriptors"}, ""},
	{"storm", "h6", "a worker's uid leased to a client", []string{"listener/lease.TestUidInUseIsNotLeased"}, ""},
	{"storm", "h7", "stale descriptors in a worker's queue", []string{"listener/broker.TestDescriptorsWaitForNoWorker"}, ""},
	{"storm", "h8", "log lines on a full disk and on a slow pipe", []string{"tests/root.TestSlowLogIsWhole", "listener/journal.TestFullDiskIsCounted"}, ""},
	{"storm", "h9", "a record after the log's end", []string{"listener/journal.TestPanicOfARecord"}, ""},
	{"storm", "h11", "a hung zygote", []string{"tests/root.TestStoppedZygote", "tests/root.TestHangingExec", "listener/broker.TestHungStart"}, ""},
	{"storm", "h12", "a wait program that ends without accepting", []string{"listener/broker.TestProgramTakesNothing", "listener/broker.TestProgramTakesOneOfMany", "tests/root.TestOthersComeInTheirPlace"}, ""},
	{"storm", "h13", "datagrams of a refused source beside good ones", []string{"listener/broker.TestDeniedFlood", "listener/broker.TestPeersAtOnce"}, "of many peers at the same moment some have to send again"},
	{"storm", "h14", "a restart beside what on_stop = leave has left", []string{"tests/root.TestRestartOverLeftSessions", "tests/root.TestOnStopLeave", "listener/builtin.TestLeaving"}, ""},
	{"storm", "h16", "the orphan sweep beside zygotes that are being proven", []string{"listener/broker.TestSweepBesideANewZygote"}, ""},
	{"storm", "h19", "a reload that displaces a socket which a program holds", []string{"listener/broker.TestDisplacedWhileHeld"}, ""},
	{"storm", "h21", "a udp service that is removed and added again", []string{"tests/root.TestUDPServiceAgain", "tests/root.TestBuiltinKeepsSessions"}, ""},
	{"storm", "h23", "explain prints no session limit of a wait service, which has none", []string{"policy/explain.TestWaitHasNoSessionLimit"}, ""},
	{"storm", "stderrblock", "a stopped or dead log worker holds nobody up", []string{"tests/root.TestStoppedLogWorker", "listener/broker.TestNobodyWaitsForTheLog"}, ""},
	{"storm", "compmem", "the compiler's memory is bounded", []string{"tests/root.TestCompilerIsBounded"}, ""},
	{"storm", "zz_forge", "a zygote's word about pids", []string{"listener/broker.TestForgedPID", "listener/warden.TestTakes", "listener/broker.TestForgedPIDOfALaunch"}, ""},
	{"storm", "tasks", "no task left to the services and the broker", []string{"tests/root.TestNoTasksLeft"}, ""},
	{"storm", "all", "all of it at once", []string{"tests/chaos.TestSoak"}, ""},
}
