namespace MicroVm.Generators.Registers.Syntax;

/// <summary>A name with its place.</summary>
internal sealed record Name(string Text, Pos Pos);

/// <summary><c>Member</c> or <c>Owner.Member</c>.</summary>
internal sealed record DottedName(Name? Owner, Name Member)
{
    public string Text => Owner is null ? Member.Text : Owner.Text + "." + Member.Text;

    public Pos Pos => Owner is null ? Member.Pos : Owner.Pos with { Length = Member.Pos.Start + Member.Pos.Length - Owner.Pos.Start };
}
