/* How functions are called: more arguments than stand here are an error, where they would be passed over in silence.
   Not here are functions that take any number, and names with several meanings. */
#include "bind.h"

/* clang-format off */
static const char *const calls[] = {
    "x:exp()", "x:log()", "x:sqrt()", "x:square()", "x:abs()", "x:sin()", "x:cos()", "x:tanh()", "x:sigmoid()",
    "x:silu()", "x:relu()", "x:relu2()", "x:softplus()", "x:mish()", "x:rsqrt()", "x:reciprocal()", "x:pow(p)",
    "x:round(dtype)", "x:maximum(y)", "x:minimum(y)", "x:clamp(low, high)", "x:lerp(p, mu)", "x:gt(y)", "x:ge(y)",
    "x:lt(y)", "x:le(y)", "x:eq(y)", "x:ne(y)", "x:masked_fill(mask, number)", "x:tril(k)", "x:triu(k)",
    "x:linear(w, bias)", "x:matmul(m)", "x:bmm(y)", "x:embed(tokens)", "x:layer_norm(weight, bias, eps)",
    "x:group_norm(heads, weight, bias, eps)", "x:l2norm(heads, eps)", "x:softmax(axis)", "x:log_softmax(axis)",
    "x:sum(axis, keep)", "x:mean(axis, keep)", "x:max(axis, keep)", "x:min(axis, keep)",
    "x:var(axis, keep, unbiased)", "x:std(axis, keep, unbiased)", "x:norm(axis, keep)", "x:cumsum(axis)",
    "x:argmax(axis)", "x:transpose(axis1, axis2)", "x:t(axis1, axis2)", "x:gather(index)", "x:flatten(first, last)",
    "x:squeeze(axis)", "x:unsqueeze(axis)", "x:slice(axis, first, last)", "x:split(axis, sizes)", "x:chunk(n, axis)",
    "x:shift(carry)", "x:conv(w, carry)", "x:cross_entropy(targets, l2wrap)", "x:item()", "x:tolist()", "x:dim()",
    "x:numel()", "x:keep()", "x:detach()", "x:clone()", "x:grad()", "x:zero_grad()", "x:requires_grad(on)",
    "x:backward()", "rwkv.zeros_like(x)", "rwkv.ones_like(x)", "rwkv.arange(start, stop, step)", "rwkv.seed(n)",
    "rwkv.concat(list, axis)", "rwkv.cat(list, axis)", "rwkv.stack(list, axis)", "rwkv.where(mask, a, b)",
    "rwkv.wkv2(w, u, e, v, a, b, eps)", "rwkv.wkv4(w, u, k, v, a, b, p)", "rwkv.wkv6(r, w, k, v, u, S)",
    "rwkv.wkv7(r, w, k, v, a, b, S)", "rwkv.selective_scan(x, delta, A, B, C, h)",
    "rwkv.attention(q, k, v, heads, keys, values)",
    "rwkv.rosa(q, k, v, low, high, bits, none, queries, keys, values, runs)",
    "rwkv.rosa_self(x, low, high, bits, none, symbols, runs)", "rwkv.sampler(options)", "rwkv.versions()",
    "rwkv.size_names()",
    "rwkv.end_step()",
    "rwkv.tape_bytes()", "rwkv.time()", "rwkv.matmul()", "rwkv.device()", "rng:uniform(low, high)",
    "rng:normal(mean, deviation)", "rng:integer(low, high)", "rng:shuffle(list)", "rng:count(n)",
    "rng:distinct(count, low, high)", "rng:order(weights)",
    "sampler:pick(logits, row)", "sampler:saw(id)", "sampler:memory()", "tokens:tolist()", "tokens:shape()",
    "tokens:size()", "tokens:lengths()", "tokens:tensor()", "tokens:rows(first, last)", "rwkv.tokens(list)",
    "rwkv.hook(definition)", "rwkv.model(design)", "rwkv.describe(design)", "rwkv.load(path, options)",
    "rwkv.info(path, options)", "rwkv.hooks_in(path)", "model:forward(tokens, state, options)",
    "model:loss(tokens, targets, options)", "model:log_likelihood(tokens, targets, options)",
    "model:trace_run(tokens, state, options)", "model:trace(tokens)", "model:generate(prompt, options)",
    "model:embed(texts, options)", "model:check_cuts(tokens, tolerance)", "model:assign(weights)",
    "model:parameters()", "model:param(name)", "model:config()", "model:param_count(with_unused)",
    "model:weight_bytes(name)", "model:state_floats(tokens)", "model:zero_grad()", "model:save(path, options)",
    "model:pack(dtype)", "model:state(batch)", "model:load_state(path)", "state:copy()", "state:detach()",
    "state:get(name)", "state:set(name, tensor)", "state:names()", "state:seen(sequence)", "state:batch()",
    "state:config()", "state:rows(first, last)", "state:save(path, options)", "rwkv.adamw(what, options)",
    "optimizer:step()", "optimizer:zero_grad()", "optimizer:rate(x, group)", "optimizer:groups()",
    "optimizer:steps()", "optimizer:save(path)", "optimizer:restore(path)", "rwkv.save_session(path, table)",
    "rwkv.restore_session(path, table)"};
/* clang-format on */

const char *call_of(const char *of, const char *name)
{
  if (strcmp(of, "tensor") == 0) of = "x";
  size_t m = strlen(of), n = strlen(name);
  for (int i = 0; i < COUNT(calls); i++) {
    const char *at = calls[i] + strcspn(calls[i], ":.");
    if (at == calls[i] + m && strncmp(calls[i], of, m) == 0 && strncmp(at + 1, name, n) == 0 && at[n + 1] == '(')
      return calls[i];
  }
  return NULL;
}

static int names_in(const char *list) /* "(axis, keep)" -> 2 */
{
  int n = list[1] != ')';
  for (; *list; list++) n += *list == ',';
  return n;
}

void check_count(lua_State *L, const char *call, int first)
{
  int objects = strchr(call, ':') != NULL, n = lua_gettop(L);
  while (n >= first && lua_isnil(L, n)) n--;
  n -= first - 1 + objects;
  if (n > names_in(strchr(call, '('))) luaL_error(L, "%s was given %d argument%s", call, n, n == 1 ? "" : "s");
}

static int find_call(lua_State *L) /* call_of(class or "rwkv", name) -> how it is called, or nil */
{
  lua_pushstring(L, call_of(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
  return 1;
}

static int count_arguments(lua_State *L) /* check_count(call, ...): raises if these are too many arguments for it */
{
  const char *call = luaL_checkstring(L, 1);
  if (!strchr(call, '(')) return luaL_argerror(L, 1, "not a call");
  check_count(L, call, 2);
  return 0;
}

void open_calls(lua_State *L)
{
  add_private(L, (luaL_Reg[]){{"call_of", find_call}, {"check_count", count_arguments}, {NULL, NULL}});
}
