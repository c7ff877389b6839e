using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>A switch over the block's offsets, and one over the rows of each index/data pair: one case per register, or per half of one.</summary>
internal abstract class SwitchEmitter(BlockScope scope, CodeWriter w)
{
    protected BlockScope Scope => scope;

    protected Expressions Expressions { get; } = new(scope);

    /// <summary>First word of the methods' names.</summary>
    protected abstract string Verb { get; }

    /// <summary>What the methods do to a register, for their documentation.</summary>
    protected abstract string Does { get; }

    /// <summary>Their parameter for the value.</summary>
    protected abstract string ValueParameter { get; }

    /// <summary>What they do first, or null.</summary>
    protected abstract string? First { get; }

    /// <summary>The statements of one case.</summary>
    protected abstract List<string> Body(SlotGroup group, int half);

    public void Emit()
    {
        Method(Verb + "At", "uint offset", scope.Groups, "offset", "IoStatus.NoRegister");
        foreach (RegisterModel pair in scope.Block.Registers.Where(static r => r.IsPair))
        {
            w.Line();
            w.Line("/// <summary>" + Does + " register behind " + pair.Name.Text + " that " + pair.IndexedBy!.Text + " names.</summary>");
            Method(Verb + pair.Name.Text, "uint at", BlockScope.Group(pair.Rows), "at", "IoStatus.NoSuchIndex");
        }
    }

    private void Method(string name, string parameter, List<SlotGroup> groups, string subject, string missing)
    {
        w.Open("private IoStatus " + name + "(" + parameter + ", " + ValueParameter + ")");
        if (First is not null) w.Line(First);
        w.Open("switch (" + subject + ")");
        foreach (SlotGroup group in groups)
        {
            foreach (RegisterModel r in group.Registers) w.Line(Cases.Comment(scope, r));
            bool halved = group.First.Halves && scope.Block.Access.Rule != WidthRule.Any;
            for (int half = halved ? 1 : 0; half <= (halved ? 2 : 0); half++) Cases.Emit(w, group.First, half, subject, Body(group, half));
        }
        w.Line("default: return " + missing + ";");
        w.Close();
        w.Close();
    }
}
