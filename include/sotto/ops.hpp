// SPDX-License-Identifier: MIT
// A plain C++ function as an operator, in one line:
//
//   using sotto::ops::Tensor;
//   void Update(const Tensor& value, Tensor& cache, Tensor& out);
//   constexpr sotto_op kOps[] = {sotto::ops::Op<Update>("my::update.out")};
//
// Arguments: const Tensor& (read), Tensor& (may be written; any number of them,
// anywhere), const Tensor* (null for none), int64_t, double, bool,
// std::span<const int64_t>, std::span<const Tensor* const>,
// std::span<Tensor* const>; in front of them a Context& where one is wanted.
// Results: void, Tensor, std::array<Tensor, N> or std::tuple<Tensor, ...>. A
// refusal is an exception; its text becomes the error's. The schema is made by
// the compiler. Standard library only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "sotto/ops.h"

namespace sotto::ops {

using Tensor = sotto_op_tensor;

// The caller, for the time of one call.
class Context {
 public:
  explicit Context(sotto_op_context* context) : context_(context) {}
  std::string_view op_name() const { return context_->op_name; }
  // 64-byte aligned, lives until the program's next run. Throws bad_alloc.
  void* Allocate(size_t bytes) const {
    void* const memory = context_->allocate(context_, bytes);
    if (memory == nullptr && bytes > 0) throw std::bad_alloc();
    return memory;
  }
  void Count(sotto_op_counter counter, uint64_t bytes) const {
    context_->count(context_, counter, bytes);
  }

 private:
  sotto_op_context* context_;
};

// Stack entries, for callers.
inline sotto_op_value None() { return {SOTTO_OP_NONE, 0, 0, {nullptr}}; }
inline sotto_op_value Value(Tensor& tensor) {
  return {SOTTO_OP_TENSOR, 0, 0, {&tensor}};
}
inline sotto_op_value Value(int64_t integer) {
  sotto_op_value value{SOTTO_OP_INT, 0, 0, {nullptr}};
  value.as.integer = integer;
  return value;
}
inline sotto_op_value Value(double number) {
  sotto_op_value value{SOTTO_OP_FLOAT, 0, 0, {nullptr}};
  value.as.number = number;
  return value;
}
inline sotto_op_value Value(bool truth) {
  sotto_op_value value{SOTTO_OP_TRUTH, 0, 0, {nullptr}};
  value.as.integer = truth ? 1 : 0;
  return value;
}
inline sotto_op_value Value(std::span<const int64_t> integers) {
  sotto_op_value value{SOTTO_OP_INTS, 0, integers.size(), {nullptr}};
  value.as.integers = integers.data();
  return value;
}
inline sotto_op_value Value(std::span<Tensor* const> tensors) {
  sotto_op_value value{SOTTO_OP_TENSORS, 0, tensors.size(), {nullptr}};
  value.as.tensors = tensors.data();
  return value;
}

namespace detail {

// How one parameter type is written in a schema, known on the stack and taken
// from it.
template <typename T>
struct Argument {
  static constexpr bool kKnown = false;
};

template <int kKindValue>
struct Known {
  static constexpr bool kKnown = true;
  static bool Fits(const sotto_op_value& value) {
    return value.kind == kKindValue;
  }
};

template <>
struct Argument<const Tensor&> : Known<SOTTO_OP_TENSOR> {
  static constexpr std::string_view kText = "T";
  static const Tensor& Take(const sotto_op_value& v) { return *v.as.tensor; }
};
template <>
struct Argument<Tensor&> : Known<SOTTO_OP_TENSOR> {
  static constexpr std::string_view kText = "T!";
  static Tensor& Take(const sotto_op_value& v) { return *v.as.tensor; }
};
template <>
struct Argument<const Tensor*> : Known<SOTTO_OP_TENSOR> {
  static constexpr std::string_view kText = "T?";
  static bool Fits(const sotto_op_value& v) {
    return v.kind == SOTTO_OP_TENSOR || v.kind == SOTTO_OP_NONE;
  }
  static const Tensor* Take(const sotto_op_value& v) {
    return v.kind == SOTTO_OP_NONE ? nullptr : v.as.tensor;
  }
};
template <>
struct Argument<int64_t> : Known<SOTTO_OP_INT> {
  static constexpr std::string_view kText = "i";
  static int64_t Take(const sotto_op_value& v) { return v.as.integer; }
};
template <>
struct Argument<double> : Known<SOTTO_OP_FLOAT> {
  static constexpr std::string_view kText = "f";
  static double Take(const sotto_op_value& v) { return v.as.number; }
};
template <>
struct Argument<bool> : Known<SOTTO_OP_TRUTH> {
  static constexpr std::string_view kText = "b";
  static bool Take(const sotto_op_value& v) { return v.as.integer != 0; }
};
template <>
struct Argument<std::span<const int64_t>> : Known<SOTTO_OP_INTS> {
  static constexpr std::string_view kText = "i[]";
  static std::span<const int64_t> Take(const sotto_op_value& v) {
    return {v.as.integers, v.count};
  }
};
template <>
struct Argument<std::span<const Tensor* const>> : Known<SOTTO_OP_TENSORS> {
  static constexpr std::string_view kText = "T[]";
  static std::span<const Tensor* const> Take(const sotto_op_value& v) {
    return {v.as.tensors, v.count};
  }
};
template <>
struct Argument<std::span<Tensor* const>> : Known<SOTTO_OP_TENSORS> {
  static constexpr std::string_view kText = "T![]";
  static std::span<Tensor* const> Take(const sotto_op_value& v) {
    return {v.as.tensors, v.count};
  }
};

template <typename R>
struct Results {
  static constexpr bool kKnown = false;
};
template <>
struct Results<void> {
  static constexpr bool kKnown = true;
  static constexpr size_t kCount = 0;
};
template <>
struct Results<Tensor> {
  static constexpr bool kKnown = true;
  static constexpr size_t kCount = 1;
  static void Put(const Tensor& result, const sotto_op_value* to) {
    *to->as.tensor = result;
  }
};
template <typename... T>
requires(std::is_same_v<T, Tensor>&&...) struct Results<std::tuple<T...>> {
  static constexpr bool kKnown = true;
  static constexpr size_t kCount = sizeof...(T);
  static void Put(const std::tuple<T...>& result, const sotto_op_value* to) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      ((*to[I].as.tensor = std::get<I>(result)), ...);
    }
    (std::index_sequence_for<T...>{});
  }
};
template <size_t N>
struct Results<std::array<Tensor, N>> {
  static constexpr bool kKnown = true;
  static constexpr size_t kCount = N;
  static void Put(const std::array<Tensor, N>& result,
                  const sotto_op_value* to) {
    for (size_t i = 0; i < N; ++i) *to[i].as.tensor = result[i];
  }
};

template <bool kContext, typename R, typename... A>
struct Shape {
  static constexpr bool kKnown =
      Results<R>::kKnown && (Argument<A>::kKnown && ...);
  static constexpr bool kWantsContext = kContext;
  static constexpr size_t kArguments = sizeof...(A);
  using Result = R;
  using Arguments = std::tuple<Argument<A>...>;
};

template <typename F>
struct Signature {
  static constexpr bool kKnown = false;
};
template <typename R, typename... A>
struct Signature<R (*)(A...)> : Shape<false, R, A...> {};
template <typename R, typename... A>
struct Signature<R (*)(A...) noexcept> : Shape<false, R, A...> {};
template <typename R, typename... A>
struct Signature<R (*)(Context&, A...)> : Shape<true, R, A...> {};
template <typename R, typename... A>
struct Signature<R (*)(Context&, A...) noexcept> : Shape<true, R, A...> {};

// "(T,T!)->(T)" as a null-terminated array, made while compiling.
template <typename S>
struct Schema {
  static constexpr size_t kResults = Results<typename S::Result>::kCount;

  template <typename Sink>
  static constexpr void Write(Sink&& put) {
    put('(');
    bool first = true;
    [&]<size_t... I>(std::index_sequence<I...>) {
      ((Item(put, &first,
             std::tuple_element_t<I, typename S::Arguments>::kText)),
       ...);
    }
    (std::make_index_sequence<S::kArguments>{});
    put(')');
    if (kResults == 0) return;
    put('-');
    put('>');
    put('(');
    first = true;
    for (size_t i = 0; i < kResults; ++i) Item(put, &first, "T");
    put(')');
  }
  template <typename Sink>
  static constexpr void Item(Sink&& put, bool* first, std::string_view text) {
    if (!*first) put(',');
    *first = false;
    for (const char c : text) put(c);
  }
  static constexpr size_t Length() {
    size_t length = 0;
    Write([&](char) { ++length; });
    return length;
  }
  static constexpr auto Make() {
    std::array<char, Length() + 1> text{};
    size_t at = 0;
    Write([&](char c) { text[at++] = c; });
    return text;
  }
  static constexpr auto kText = Make();
};

inline int Refuse(sotto_op_context* context, const std::string& line) {
  context->fail(context, line.c_str());
  return 1;
}

// Arguments, then results, then perhaps one more list of tensors: ExecuTorch
// appends all outs of an operator with several as a list.
template <typename S>
std::string CheckStack(const sotto_op_value* stack, size_t count) {
  constexpr size_t kResults = Schema<S>::kResults;
  constexpr size_t kWant = S::kArguments + kResults;
  const bool with_list =
      count == kWant + 1 && stack[kWant].kind == SOTTO_OP_TENSORS;
  if (count != kWant && !with_list)
    return "got " + std::to_string(count) + " values, want " +
           std::to_string(kWant) + " " + Schema<S>::kText.data();
  std::string why;
  size_t at = 0;
  const auto check = [&](bool fits, std::string_view want) {
    if (!fits && why.empty())
      why = "argument " + std::to_string(at) + " is of kind " +
            std::to_string(stack[at].kind) + ", want " + std::string(want);
    ++at;
  };
  [&]<size_t... I>(std::index_sequence<I...>) {
    ((check(std::tuple_element_t<I, typename S::Arguments>::Fits(stack[I]),
            std::tuple_element_t<I, typename S::Arguments>::kText)),
     ...);
  }
  (std::make_index_sequence<S::kArguments>{});
  for (size_t i = 0; i < kResults; ++i)
    check(stack[S::kArguments + i].kind == SOTTO_OP_TENSOR, "T for a result");
  return why;
}

template <auto F>
void Invoke(sotto_op_context* c, sotto_op_value* stack) {
  using S = Signature<decltype(F)>;
  [&]<size_t... I>(std::index_sequence<I...>) {
    Context context(c);
    const auto call = [&]() -> typename S::Result {
      if constexpr (S::kWantsContext)
        return F(context, std::tuple_element_t<I, typename S::Arguments>::Take(
                              stack[I])...);
      else
        return F(
            std::tuple_element_t<I, typename S::Arguments>::Take(stack[I])...);
    };
    if constexpr (std::is_void_v<typename S::Result>)
      call();
    else
      Results<typename S::Result>::Put(call(), stack + S::kArguments);
  }
  (std::make_index_sequence<S::kArguments>{});
}

// The boxed form: nothing is thrown through it.
template <auto F>
int Boxed(sotto_op_context* context, sotto_op_value* stack,
          size_t count) noexcept {
  try {
    const std::string why = CheckStack<Signature<decltype(F)>>(stack, count);
    if (!why.empty()) return Refuse(context, why);
    Invoke<F>(context, stack);
    return 0;
  } catch (const std::bad_alloc&) {
    context->fail(context, "out of memory");
  } catch (const std::exception& error) {
    context->fail(context, error.what());
  } catch (...) {
    context->fail(context, "unknown exception");
  }
  return 1;
}

}  // namespace detail

// Whether `F` can be an operator.
template <auto F>
inline constexpr bool kBoxable = detail::Signature<decltype(F)>::kKnown;

// One row of a library's table.
template <auto F>
constexpr sotto_op Op(const char* name, const char* key = "any") {
  static_assert(kBoxable<F>,
                "an operator takes const Tensor&, Tensor&, const Tensor*, "
                "int64_t, double, bool or spans of int64_t or Tensor*, and "
                "returns void, Tensor, an array or a tuple of Tensor");
  return {name, key,
          detail::Schema<detail::Signature<decltype(F)>>::kText.data(),
          &detail::Boxed<F>};
}

}  // namespace sotto::ops
