using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;
using static MicroVm.Generators.Registers.Checks.FileChecks;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>Structures, enums, flags, constants, devices, and the names inside a machine.</summary>
internal static class DataChecks
{
    public static void Run(FileModel file, DiagnosticBag diagnostics)
    {
        foreach (StructModel s in file.Structs) Struct(s, diagnostics);
        foreach (EnumModel e in file.Enums) Values(e.Name.Text, e.Flags, e.Width, e.Values, diagnostics);
        foreach (ConstsModel c in file.Consts) Names(c.Values.Select(static v => v.Name), "a constant", diagnostics, (c.Name.Text, "the set of constants"));
        foreach (DeviceModel d in file.Devices)
        {
            Values(d.Name.Text, flags: true, 8, d.Features, diagnostics);
            Names(d.Queues.Select(static q => q.Name), "a queue", diagnostics);
        }
        foreach (MachineModel m in file.Machines)
        {
            IEnumerable<Name> names = m.Ranges.Select(static r => r.Name).Concat(m.Places.Select(static p => p.Name)).OrderBy(static n => n.Pos.Start);
            Names(names, "a place or range", diagnostics, (m.Name.Text, "the machine"), ("Places", "the list of places"), ("Placement", "the list of places"), ("Lazily", "the list of places"));
        }
    }

    private static void Struct(StructModel s, DiagnosticBag diagnostics)
    {
        Names(s.Members.Select(static m => m.Name), "a member", diagnostics, (s.Name.Text, "the structure"));
        for (int i = 0; i < s.Members.Count; i++)
        {
            MemberModel m = s.Members[i];
            long end = (long)m.Offset + m.Bytes;
            if (end > s.Size) diagnostics.Add("MVG002", m.OffsetPos, m.Name.Text, Hex((ulong)end), s.Name.Text, LayoutChecks.Number(s.Size));
            // No alignment: a structure's layout is the specification's, and some of those are packed.
            MemberModel? other = s.Members.Take(i).FirstOrDefault(o => o.Offset < end && m.Offset < (long)o.Offset + o.Bytes);
            if (other is not null) diagnostics.Add("MVG001", m.OffsetPos, m.Name.Text, other.Name.Text, Hex((ulong)Math.Max(m.Offset, other.Offset)));
        }
    }

    private static void Values(string owner, bool flags, int width, IReadOnlyList<ValueModel> values, DiagnosticBag diagnostics)
    {
        Names(values.Select(static v => v.Name), flags ? "a flag" : "a value", diagnostics);
        for (int i = 0; i < values.Count; i++)
        {
            ValueModel v = values[i];
            if (!flags)
            {
                if (v.Value > Semantics.All(width)) diagnostics.Add("MVG018", v.ValuePos, "'" + v.Name.Text + "'", owner, Hex(v.Value), LayoutChecks.Number(8 * width));
                continue;
            }
            if (v.Value >= (ulong)(8 * width))
            {
                diagnostics.Add("MVG004", v.ValuePos, v.Name.Text, owner, "is bit " + v.Value + ", outside its " + 8 * width + " bits; widen the flags or correct the bit");
            }
            ValueModel? other = values.Take(i).FirstOrDefault(o => o.Value == v.Value);
            if (other is not null) diagnostics.Add("MVG004", v.ValuePos, v.Name.Text, owner, "overlaps '" + other.Name.Text + "' at bit " + v.Value + "; correct one of them");
        }
    }

    private static void Names(IEnumerable<Name> names, string what, DiagnosticBag diagnostics, params (string Name, string What)[] reserved)
    {
        var taken = reserved.ToDictionary(static r => r.Name, static r => r.What, StringComparer.Ordinal);
        foreach (Name name in names) NameChecks.Take(taken, name, what, diagnostics);
    }
}
