using System.Text;

namespace MicroVm.Cli.Explain;

/// <summary>A box of the drawing.</summary>
/// <param name="Style">What it is, for its colour: a class of <see cref="HtmlPage"/>'s style.</param>
/// <param name="Heading">First line.</param>
/// <param name="Lines">The others.</param>
internal sealed record Card(string Style, string Heading, params string[] Lines);

/// <summary>One thing of the machine, from left to right: what the guest finds of it, the thing, what it is on the
/// host.</summary>
/// <param name="Guest">Left.</param>
/// <param name="Device">In the middle.</param>
/// <param name="Host">Right.</param>
internal sealed record Lane(IReadOnlyList<Card> Guest, Card Device, IReadOnlyList<Card> Host);

/// <summary>Writes lanes as HTML whose style puts the three columns beside one another where there is room, and below
/// one another where there is not. A lane holds all that is connected, so that no wire crosses another.</summary>
internal sealed class Cards
{
    private readonly StringBuilder _html = new();

    /// <summary>A heading, over lanes or over cards.</summary>
    internal void Heading(string text, bool columns = false)
    {
        _html.Append("<h2>").Append(HtmlPage.Escape(text)).Append("</h2>\n");
        if (columns)
            _html.Append(
            "<div class=\"lane names\"><div>the guest finds</div><div></div><div>in the machine</div><div></div><div>on the host</div></div>\n");
    }

    /// <summary>Things that belong together, from top to bottom.</summary>
    internal void Lanes(IEnumerable<Lane> lanes)
    {
        foreach (Lane lane in lanes)
        {
            _html.Append("<div class=\"lane\">");
            Column("guest", lane.Guest);
            Wire(lane.Guest);
            Column("device", [lane.Device]);
            Wire(lane.Host);
            Column("host", lane.Host);
            _html.Append("</div>\n");
        }
    }

    /// <summary>Cards beside one another, with an arrow from each to the next.</summary>
    internal void Chain(IEnumerable<Card> cards)
    {
        _html.Append("<div class=\"chain\">");
        foreach (Card card in cards) Add(card);
        _html.Append("</div>\n");
    }

    public override string ToString() => _html.ToString();

    private void Wire(IReadOnlyList<Card> end) =>
        _html.Append(end.Count == 0 ? "<div class=\"wire none\"></div>" : $"<div class=\"wire {end[0].Style}\"></div>");

    private void Column(string name, IReadOnlyList<Card> cards)
    {
        _html.Append("<div class=\"column ").Append(name).Append(cards.Count > 1 ? " many" : "")
            .Append(cards.Count == 0 ? " empty" : "").Append("\">");
        foreach (Card card in cards) Add(card);
        _html.Append("</div>");
    }

    private void Add(Card card)
    {
        _html.Append("<div class=\"card ").Append(card.Style).Append("\"><strong>")
            .Append(HtmlPage.Escape(card.Heading)).Append("</strong>");
        foreach (string line in card.Lines) _html.Append("<span>").Append(HtmlPage.Escape(line)).Append("</span>");
        _html.Append("</div>");
    }
}
