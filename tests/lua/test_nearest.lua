-- Names that are near a misspelt one, as the library says them. The slips themselves: tests/test_nearest.c.
local nearest = require "rwkv.nearest"

local names = { "lr", "weight_decay", "beta1" }
assert(nearest("weigth_decay", names) == "weight_decay" and nearest("bata1", names) == "beta1")
assert(nearest("cabbage", names) == nil and nearest("lr", {}) == nil)
assert(nearest(3, names) == nil and nearest(nil, names) == nil)
assert(nearest("sun", { "sum", "sin" }) == "sum" and nearest("sun", { "sin", "sum" }) == "sin")
assert(nearest("v5", { "v4", "v6" }) == nil)
assert(nearest("lrr", { 1, {}, "lr" }) == "lr")
assert(nearest.hint("rl", names) == ", did you mean 'lr'?" and nearest.hint("cabbage", names) == "")
assert(nearest.listed("rl", names) == ", did you mean 'lr'? there are: lr, weight_decay, beta1")
assert(nearest.listed("cabbage", names) == "; there are: lr, weight_decay, beta1")
assert(nearest.listed("cabbage", {}) == "; there are: none")
