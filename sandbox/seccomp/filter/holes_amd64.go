package filter

var holes = []hole{{337, 423}}
