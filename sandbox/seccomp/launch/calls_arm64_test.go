package launch

var onceHere []onceCase
