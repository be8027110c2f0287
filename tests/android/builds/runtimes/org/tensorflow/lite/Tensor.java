package org.tensorflow.lite;

/** LiteRT's, as far as it is used; our own words under its published signatures. */
public interface Tensor {
  int[] shape();
}
