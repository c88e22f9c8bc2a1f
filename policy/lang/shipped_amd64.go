package lang

// baseText is the shipped profiles' source for this architecture.
func baseText() []byte { return baseSource }
