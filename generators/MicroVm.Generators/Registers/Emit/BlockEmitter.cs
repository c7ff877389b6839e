using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>The generated half of one block's class.</summary>
internal static class BlockEmitter
{
    public static void Emit(CodeWriter w, BlockModel block)
    {
        var scope = new BlockScope(block);
        Documentation(w, block);
        w.Open("public sealed partial class " + block.Name.Text + " : IRegisterBlock");
        w.Line("/// <summary>Bytes of address space.</summary>");
        w.Line("public const uint Size = " + Hex((ulong)block.Size) + ";");
        w.Line();
        new StateEmitter(scope, w).Emit();
        w.Line("/// <inheritdoc/>");
        w.Line("public Lock Gate { get; } = new();");
        w.Line();
        w.Line("/// <inheritdoc/>");
        w.Line("public BlockInfo Info => Catalog;");
        w.Line();
        new AccessEmitter(scope, w).Emit();
        w.Line();
        new ReadEmitter(scope, w).Emit();
        w.Line();
        new WriteEmitter(scope, w).Emit();
        new LifeEmitter(scope, w).Emit();
        SnapshotEmitter.Emit(w, scope);
        HookEmitter.Emit(w, scope);
        FieldEmitter.Emit(w, scope);
        CatalogEmitter.Emit(w, block);
        w.Close();
    }

    private static void Documentation(CodeWriter w, BlockModel block)
    {
        w.Summary(block.Doc.Length == 0 ? block.Name.Text : Headline(block.Doc));
        w.Line("/// <remarks>Offset, name, width, access, reset, documentation:");
        w.Line("/// <code>");
        foreach (RegisterModel r in block.Flatten()) w.Line("/// " + Xml(Row(r)).TrimEnd());
        w.Line("/// </code></remarks>");
    }

    private static string Row(RegisterModel r)
    {
        string name = (r.IsArray ? r.Name.Text + "[" + Number(r.Count) + "]" : r.Name.Text).PadRight(20);
        string kind = r.IsWindow ? "window " + Hex((ulong)r.Window) : r.IsPair ? "by " + r.IndexedBy!.Text : "u" + Number(8 * r.Width) + " " + Word(r.Access);
        return Hex((ulong)r.Offset).PadRight(7) + name + " " + kind.PadRight(14) + " " + (r.Reset != 0 ? Hex(r.Reset) : "0").PadRight(10) + " " + r.Doc;
    }

    public static string Word(Access access) => access switch
    {
        Access.ReadOnly => "ro", Access.ReadWrite => "rw", Access.WriteOnly => "wo", Access.WriteOneToClear => "w1c", _ => "rc",
    };

    /// <summary>A heading says what and, far to the right, which source: one sentence of the two.</summary>
    public static string Headline(string doc)
    {
        int gap = doc.IndexOf("   ", StringComparison.Ordinal);
        return gap < 0 ? doc : doc.Substring(0, gap) + " (" + doc.Substring(gap).Trim() + ")";
    }
}
