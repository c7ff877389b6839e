using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;
using static MicroVm.Generators.Registers.Checks.FileChecks;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG013, 014, and 022 for ports: what stands where on the buses.</summary>
internal static class MachineChecks
{
    private const ulong PageSize = 0x1000;

    public static void Run(MachineModel machine, Func<Name, DeclarationSummary?> block, DiagnosticBag diagnostics)
    {
        var taken = new List<Extent>();
        foreach (RangeModel range in machine.Ranges)
        {
            Extent? other = taken.Find(t => t.Start < range.End && range.Start < t.End);
            if (other is not null) Overlap(range.StartPos, range.Name.Text, range.Start, other, diagnostics);
            taken.Add(new Extent(range.Name.Text, Port: false, range.Start, range.End, range.Ram));
        }
        foreach (PlaceModel place in machine.Places)
        {
            if (block(place.Block) is not { } declared) continue;
            Resident(place, declared, diagnostics);
            Place(place, (ulong)declared.Size, taken, diagnostics);
        }
        Irqs(machine, diagnostics);
    }

    private static void Resident(PlaceModel place, DeclarationSummary block, DiagnosticBag diagnostics)
    {
        if (!block.Resident) return;
        string what = place.Name.Text;
        if (place.Port) diagnostics.Add("MVG022", place.Block.Pos, what, "'" + block.Name.Text + "' has resident registers, and a port has no page", "place it with 'mmio'");
        else if (place.Address % PageSize != 0 || place.Stride % PageSize != 0)
        {
            diagnostics.Add("MVG022", place.AddressPos, what, "'" + block.Name.Text + "' has resident registers, and a page starts at a multiple of 0x1000", "move it there, with a stride of pages");
        }
    }

    private static void Place(PlaceModel place, ulong size, List<Extent> taken, DiagnosticBag diagnostics)
    {
        ulong limit = place.Port ? 0x1_0000 : ulong.MaxValue;
        ulong count = (ulong)Math.Max(place.Count, 1);
        ulong span = size + (count - 1) * Math.Min(place.Stride, 1ul << 40);
        if (place.Address >= limit || span > limit - place.Address)
        {
            diagnostics.Add("MVG018", place.AddressPos, "the address", place.Name.Text, Hex(place.Address) + " with " + Hex(span) + " bytes", place.Port ? "16" : "64");
            return;
        }
        if (count > 1 && place.Stride < size)
        {
            var first = new Extent(place.Name.Text + "[0]", place.Port, place.Address, place.Address + size, Closed: true);
            Overlap(place.AddressPos, place.Name.Text + "[1]", place.Address + place.Stride, first, diagnostics);
        }
        Extent? other = taken.Find(t => t.Port == place.Port && t.Start < place.Address + span && place.Address < t.End && !t.Holds(place.Address, place.Address + span));
        if (other is not null) Overlap(place.AddressPos, place.Name.Text, place.Address, other, diagnostics);
        taken.Add(new Extent(place.Name.Text, place.Port, place.Address, place.Address + span, Closed: true));
    }

    private static void Overlap(Pos pos, string name, ulong address, Extent other, DiagnosticBag diagnostics) =>
        diagnostics.Add("MVG013", pos, name, Hex(address), other.Name, Hex(other.Start));

    private static void Irqs(MachineModel machine, DiagnosticBag diagnostics)
    {
        var places = machine.Places.Where(static p => p.FirstIrq >= 0).ToList();
        for (int i = 1; i < places.Count; i++)
        {
            PlaceModel place = places[i];
            PlaceModel? other = places.Take(i).FirstOrDefault(o => o.FirstIrq <= place.LastIrq && place.FirstIrq <= o.LastIrq);
            if (other is null) continue;
            diagnostics.Add("MVG014", place.IrqPos, LayoutChecks.Number(Math.Max(place.FirstIrq, other.FirstIrq)), place.Name.Text, other.Name.Text);
        }
    }

    /// <summary>Taken addresses. A range that is not <see cref="Closed"/> may hold places.</summary>
    private sealed record Extent(string Name, bool Port, ulong Start, ulong End, bool Closed)
    {
        public bool Holds(ulong start, ulong end) => !Closed && Start <= start && end <= End;
    }
}
