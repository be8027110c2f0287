package io.chordkit;

/** How a phone learns; what is not said is as written here. The rest is that of chord_learn.h, which was chosen on users of data sets (docs/coda.md). */
public final class Learning {
  private float temperature = 1;
  private int ownClicks = 100;

  /** At the temperature of a bundle. */
  public Learning(Bundle bundle) {
    temperature = bundle.temperature();
  }

  /** At temperature 1, which suits a model that learned with a softmax over its items, and for long enough. */
  public Learning() {}

  /** What the model's scores are divided by to become logits. */
  public Learning temperature(float value) {
    if (!(value > 0) || Float.isInfinite(value)) {
      throw new IllegalArgumentException("temperature: " + value + " is not possible, give a number above 0");
    }
    temperature = value;
    return this;
  }

  /** The newest so many of the user's clicks are learned from; 100. */
  public Learning ownClicks(int value) {
    if (value < 1 || value > 4096) {
      throw new IllegalArgumentException("ownClicks: " + value + " is not possible, give 1 to 4096");
    }
    ownClicks = value;
    return this;
  }

  /** How many of so many own lessons, the oldest, the gate never examines. */
  static int unexamined(int lessons) {
    return (lessons + 4) / 5;
  }

  float temperature() {
    return temperature;
  }

  int ownClicks() {
    return ownClicks;
  }
}
