package io.chordkit.demo.logic;

import java.text.NumberFormat;
import java.util.Locale;

/** Numbers as people of a place write them. For one thread. */
public final class Numbers {
  private final NumberFormat whole;
  private final NumberFormat decimal;
  private final NumberFormat percent;

  public Numbers(Locale locale) {
    whole = NumberFormat.getIntegerInstance(locale);
    decimal = NumberFormat.getNumberInstance(locale);
    percent = NumberFormat.getPercentInstance(locale);
  }

  public String whole(long number) {
    return whole.format(number);
  }

  /** 0 to 1 as per cent, without decimals. */
  public String percent(double share) {
    return percent(share, 0);
  }

  /** Any share, of a change too: with as many decimals. */
  public String percent(double share, int decimals) {
    percent.setMinimumFractionDigits(decimals);
    percent.setMaximumFractionDigits(decimals);
    return percent.format(share);
  }

  /** With as many decimals. */
  public String decimal(double number, int decimals) {
    decimal.setMinimumFractionDigits(decimals);
    decimal.setMaximumFractionDigits(decimals);
    return decimal.format(number);
  }

  /** A time or another measure, in three significant digits and no less than whole: 4.56, 45.6, 456, 4,560. */
  public String measure(double number) {
    double size = Math.abs(number);
    return decimal(number, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
  }
}
