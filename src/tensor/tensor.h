// SPDX-License-Identifier: MIT
// Shape and Tensor: a typed, strided view of memory that something else owns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/error.h"
#include "tensor/dtype.h"

namespace sotto {

// Up to four dimensions, outermost first. A value.
class Shape {
 public:
  static constexpr int kMaxRank = 4;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    SOTTO_CHECK(dims.size() <= kMaxRank);
    for (const int64_t dim : dims) dims_[rank_++] = dim;
  }
  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[i < 0 ? i + rank_ : i]; }
  int64_t& operator[](int i) { return dims_[i < 0 ? i + rank_ : i]; }
  void Append(int64_t dim) {
    SOTTO_CHECK(rank_ < kMaxRank);
    dims_[rank_++] = dim;
  }
  int64_t Elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[i];
    return n;
  }
  // "[1,1500,512]"
  std::string ToString() const {
    std::string text = "[";
    for (int i = 0; i < rank_; ++i) {
      if (i > 0) text += ',';
      text += std::to_string(dims_[i]);
    }
    text += ']';
    return text;
  }
  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// "f32[1,1500,512]"
inline std::string TypeString(DType dtype, const Shape& shape) {
  return std::string(Name(dtype)) + shape.ToString();
}

// A view: owns nothing, copies cheaply. `strides` are in elements and only
// meaningful for plain types; block types are always dense.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;
  std::array<int64_t, Shape::kMaxRank> strides{};

  static Tensor Dense(void* data, DType dtype, const Shape& shape) {
    Tensor t{data, dtype, shape, {}};
    int64_t stride = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      t.strides[i] = stride;
      stride *= shape[i];
    }
    return t;
  }
  int64_t Elements() const { return shape.Elements(); }
  size_t Bytes() const {
    return BytesOf(dtype, static_cast<size_t>(shape.Elements()));
  }
  template <typename T>
  T* As() const {
    return static_cast<T*>(data);
  }
};

}  // namespace sotto
