using MicroVm.Generators.Registers.Emit;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG006 inside one block: no two things may have one name, neither in the definition nor in the class that comes out.</summary>
internal static class NameChecks
{
    private static readonly string[] Reserved =
    [
        "Read", "Write", "Save", "Load", "Info", "Gate", "Catalog", "Lazily", "Bits", "Registers", "Initialize", "ResetRegisters", "PublishResident",
        "ReadAt", "WriteAt", "WidthAt", "WriteRegister", "Size", "Checked", "Index", "LengthAt", "PeekAt", "Ones", "Merge", "SaveHidden", "LoadHidden",
        "Loaded", "ToString", "Equals", "GetHashCode", "GetType", "Finalize", "MemberwiseClone", "ReferenceEquals",
    ];

    public static void Run(BlockModel block, DiagnosticBag diagnostics)
    {
        Registers(block, diagnostics);
        foreach (RegisterModel r in block.Flatten()) Fields(r, diagnostics);
        Members(block, diagnostics);
    }

    /// <summary>Reports <paramref name="name"/> where it is taken, and takes it otherwise.</summary>
    public static bool Take(Dictionary<string, string> taken, Name name, string what, DiagnosticBag diagnostics, string? member = null)
    {
        member ??= name.Text;
        if (taken.TryGetValue(member, out string? first))
        {
            diagnostics.Add("MVG006", name.Pos, member, what, first);
            return false;
        }
        taken.Add(member, name.Pos.Line >= 0 ? what + " in line " + LayoutChecks.Number(name.Pos.Row) : what);
        return true;
    }

    private static void Registers(BlockModel block, DiagnosticBag diagnostics)
    {
        var taken = new Dictionary<string, string>(StringComparer.Ordinal) { ["Registers"] = "the generated struct of all registers" };
        foreach (RegisterModel r in block.Flatten()) Take(taken, r.Name, "a register", diagnostics);
    }

    private static void Fields(RegisterModel r, DiagnosticBag diagnostics)
    {
        var taken = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (FieldModel f in r.Fields) Take(taken, f.Name, "a bit field", diagnostics);
    }

    private static void Members(BlockModel block, DiagnosticBag diagnostics)
    {
        var taken = Reserved.ToDictionary(static r => r, static _ => "a member that every block has", StringComparer.Ordinal);
        taken[block.Name.Text] = "the block itself";
        var hooks = new Dictionary<string, string>(StringComparer.Ordinal);
        var bits = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (BankModel bank in block.Banks)
        {
            Take(taken, bank.Name, "a bank", diagnostics);
            Take(taken, bank.Name, "the type of a bank's elements", diagnostics, bank.Name.Text + "Bank");
        }
        foreach (RegisterModel r in block.Flatten())
        {
            foreach ((Name name, string signature) in HookEmitter.Named(r))
            {
                // The same hook may serve several registers, with one signature.
                if (hooks.TryGetValue(name.Text, out string? known) && known == signature) continue;
                if (Take(taken, name, "a hook '" + signature + "'", diagnostics)) hooks.Add(name.Text, signature);
            }
            foreach ((string member, string what) in Generated(r)) Take(taken, r.Name, what, diagnostics, member);
            foreach (FieldModel f in r.Fields)
            {
                if (f.Value is null && Property(r)) Take(taken, f.Name, "the property of a bit field", diagnostics, r.Name.Text + f.Name.Text);
                Take(bits, f.Name, "the mask of a bit field", diagnostics, r.Name.Text + f.Name.Text);
                if (f.Low != f.High && f.Value is null) Take(bits, f.Name, "the position of a bit field", diagnostics, r.Name.Text + f.Name.Text + "Shift");
            }
        }
    }

    private static bool Property(RegisterModel r) => !r.IsArray && r.StorageOf() is Storage.Field or Storage.Page;

    private static IEnumerable<(string Member, string What)> Generated(RegisterModel r)
    {
        if (r.IsPair)
        {
            yield return ("Read" + r.Name.Text, "the reader of an index/data pair");
            yield return ("Write" + r.Name.Text, "the writer of an index/data pair");
        }
        if (r.IsWindow && r.Resident)
        {
            yield return ("Read" + r.Name.Text, "the reader of a window");
            yield return (r.Name.Text + "Bytes", "the bytes of a window");
        }
        if (!r.Atomic) yield break;
        yield return ("Raise" + r.Name.Text, "an accessor of an atomic register");
        yield return ("Clear" + r.Name.Text, "an accessor of an atomic register");
    }
}
