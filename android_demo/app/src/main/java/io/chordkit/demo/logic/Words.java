package io.chordkit.demo.logic;

/** What an item is called; "" where the data has no word. */
public final class Words {
  public final String title;
  public final String group;

  Words(String title, String group) {
    this.title = title;
    this.group = group;
  }
}
