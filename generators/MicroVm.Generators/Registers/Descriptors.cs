using Microsoft.CodeAnalysis;

namespace MicroVm.Generators.Registers;

/// <summary>The diagnostics MVG0xx. Each names both parties and the fix, and has a page in docs/diagnostics.</summary>
internal static class Descriptors
{
    private const string Category = "MicroVm.Registers";

    public static readonly DiagnosticDescriptor Overlap = Error("MVG001", "Registers overlap",
        "'{0}' overlaps '{1}' at {2}; move one, or give both the same place with one 'ro' and the other 'wo', or with guards that cannot both hold");
    public static readonly DiagnosticDescriptor Outside = Error("MVG002", "Outside the block", "'{0}' ends at {1}, outside '{2}' of {3} bytes; raise the size or move '{0}'");
    public static readonly DiagnosticDescriptor Misaligned = Error("MVG003", "Misaligned", "'{0}' at {1} is not aligned to {2} bytes; move it to {3}");
    public static readonly DiagnosticDescriptor Field = Error("MVG004", "Bit field overlaps or lies outside", "field '{0}' of '{1}' {2}");
    public static readonly DiagnosticDescriptor Reset = Error("MVG005", "Reset value sets reserved bits",
        "'{0}' resets to {1}, whose bits {2} belong to no field; clear them in the reset value or name them");
    public static readonly DiagnosticDescriptor Duplicate = Error("MVG006", "Duplicate name", "the name '{0}' of {1} is already taken by {2}; rename one of them");
    public static readonly DiagnosticDescriptor Unknown = Error("MVG007", "Unknown name", "there is no {0} '{1}'; {2}");
    public static readonly DiagnosticDescriptor NeverTrue = Error("MVG008", "Guard can never hold",
        "the guard of '{0}' can never hold: it wants '{1}' both set and clear; remove one of the two");
    public static readonly DiagnosticDescriptor NotAtomic = Error("MVG009", "Cleared register is not atomic",
        "'{0}' clears bits of '{1}', which is not 'atomic', so that a bit raised meanwhile is lost; add 'atomic' to '{1}'");
    public static readonly DiagnosticDescriptor Halves = Error("MVG010", "Halves do not fit", "the halves of '{0}' {1}");
    public static readonly DiagnosticDescriptor Hidden = Error("MVG011", "Window hides a register", "window '{0}' hides '{1}' at {2}; shorten the window or move '{1}'");
    public static readonly DiagnosticDescriptor Doorbell = Error("MVG012", "Doorbell width", "'{0}' cannot be a doorbell: {1}; an ioeventfd hears one access of 1, 2, 4 or 8 bytes");
    public static readonly DiagnosticDescriptor Bus = Error("MVG013", "Overlap on the bus", "'{0}' at {1} overlaps '{2}' at {3}; move one of them");
    public static readonly DiagnosticDescriptor Irq = Error("MVG014", "Interrupt line used twice", "interrupt line {0} of '{1}' is already taken by '{2}'; give one of them a free line");
    public static readonly DiagnosticDescriptor NoComment = new("MVG015", "No documentation", "'{0}' has no documentation; add '# what it is' at the end of its line",
        Category, DiagnosticSeverity.Warning, true, helpLinkUri: Help("MVG015"));
    public static readonly DiagnosticDescriptor Words = Error("MVG016", "Words do not fit together", "'{0}' does not fit '{1}': {2}");
    public static readonly DiagnosticDescriptor GuardField = Error("MVG017", "Guard over an unusable field", "the guard of '{0}' cannot use '{1}': {2}");
    public static readonly DiagnosticDescriptor TooWide = Error("MVG018", "Value too wide", "{0} of '{1}' is {2}, more than {3} bits hold; shorten it or widen '{1}'");
    public static readonly DiagnosticDescriptor Unsaved = Error("MVG019", "State that no snapshot saves",
        "'{0}' stores a value, but block '{1}' has no 'snapshot' clause; add 'snapshot \"tag\" 1' to the block, or let a hook give or take the value");
    public static readonly DiagnosticDescriptor Syntax = Error("MVG020", "Syntax", "expected {0}, found {1}");
    public static readonly DiagnosticDescriptor WidthRule = Error("MVG021", "Register that no access reaches", "'{0}' is {1} bytes wide, but block '{2}' says 'access {3}'; {4}");
    public static readonly DiagnosticDescriptor Resident = Error("MVG022", "Cannot be resident", "'{0}' cannot be resident: {1}; {2}");
    public static readonly DiagnosticDescriptor TagGone = Error("MVG030", "Snapshot tag removed or retyped", "{0} in snapshot.lock, {1}; {2}");
    public static readonly DiagnosticDescriptor Version = Error("MVG031", "Snapshot version not raised", "the layout of snapshot '{0}' differs from version {1} in snapshot.lock: {2}; {3}");

    private static readonly Dictionary<string, DiagnosticDescriptor> All = new DiagnosticDescriptor[]
    {
        Overlap, Outside, Misaligned, Field, Reset, Duplicate, Unknown, NeverTrue, NotAtomic, Halves, Hidden, Doorbell, Bus, Irq, NoComment, Words,
        GuardField, TooWide, Unsaved, Syntax, WidthRule, Resident, TagGone, Version,
    }.ToDictionary(static d => d.Id, StringComparer.Ordinal);

    /// <summary>All ids, for the test that each has a page.</summary>
    public static IEnumerable<string> Ids => All.Keys;

    public static DiagnosticDescriptor Get(string id) => All[id];

    private static DiagnosticDescriptor Error(string id, string title, string message) =>
        new(id, title, message, Category, DiagnosticSeverity.Error, true, helpLinkUri: Help(id));

    private static string Help(string id) => "docs/diagnostics/" + id + ".md";
}
